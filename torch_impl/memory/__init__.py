"""What a graph keeps for its backward, to the byte, and when it lets go."""

from torch_impl.memory.held import Ledger, Saved, held
from torch_impl.memory.peak import Allocations, peak, simulated
from torch_impl.memory.phases import phases

__all__ = ["Allocations", "Ledger", "Saved", "held", "peak", "phases", "simulated"]
