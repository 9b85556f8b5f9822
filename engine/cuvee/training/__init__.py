"""Where do models come from: fitting a product's recommenders, fits that are kept, vectors that models share."""
