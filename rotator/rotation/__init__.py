"""How one account is rotated.

Read in this order: `observation`, `protocol`, `steps`, `passes`, `reconciler`, `session`.
"""
