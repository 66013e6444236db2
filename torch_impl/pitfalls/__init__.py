"""What goes wrong, reproduced: each pitfall is a function, and its remedy the function with `_fixed` to its name."""
