"""Pure helpers that know nothing of this program: quantities and their like. They import only the standard library."""
