"""What a mutation does: one function per use case. The only code that writes, and only through ``commands.run``."""
