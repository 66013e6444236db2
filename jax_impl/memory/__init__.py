"""What a pullback keeps, to the byte, how long, and what a compiled program plans."""

from jax_impl.memory.held import Ledger, held, residuals
from jax_impl.memory.listing import Kept, Listing
from jax_impl.memory.peak import Plan, peak, peak_in_use
from jax_impl.memory.phases import compiled_vjp, phases

__all__ = ["Kept", "Ledger", "Listing", "Plan", "compiled_vjp", "held", "peak", "peak_in_use", "phases", "residuals"]
