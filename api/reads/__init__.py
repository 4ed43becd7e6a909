"""How a query is answered: declarations of what each type shows, keyset pages, dataloaders; one statement per level."""
