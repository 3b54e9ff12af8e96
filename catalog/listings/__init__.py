"""Lists photos with their products, ids and categories, from folders or lists. Opens no photo."""
