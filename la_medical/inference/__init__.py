"""From images to prediction files: windows over volumes, coarse to fine, the forms predictions are written in."""
