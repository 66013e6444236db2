"""What a graph keeps for its backward, to the byte, and when it lets go."""

from torch_impl.memory.allocations import Allocations, Workspaces
from torch_impl.memory.held import Ledger, held
from torch_impl.memory.listing import Listing, Saved
from torch_impl.memory.peak import peak, requested
from torch_impl.memory.phases import phases

__all__ = [
    "Allocations",
    "Ledger",
    "Listing",
    "Saved",
    "Workspaces",
    "held",
    "peak",
    "phases",
    "requested",
]
