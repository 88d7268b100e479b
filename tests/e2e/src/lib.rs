//! The real binary against real peers: everything is in `tests/`, what it shares in `tests/kit`.
