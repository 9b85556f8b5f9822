"""To whom should an item be shown? RecommendUsers: whom to look at, how each is scored, and the pages of the list."""
