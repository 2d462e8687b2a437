"""All patients of a hospital through extraction: what is done is kept, what failed is said, several at once."""
