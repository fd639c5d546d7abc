"""The Vonage simulator."""
