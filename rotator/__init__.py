"""rotator keeps Vonage API secrets young."""
