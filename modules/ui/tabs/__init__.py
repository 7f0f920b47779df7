"""The tabs of the page, one file each; they enter through the `tabs` hook."""
