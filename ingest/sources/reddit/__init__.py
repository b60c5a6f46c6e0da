"""Reddit: own subreddits whole, other subreddits and all of Reddit for what names a brand."""
