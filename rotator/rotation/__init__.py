"""How one account is rotated; read `observation`, `protocol`, `reconciler`, in this order."""
