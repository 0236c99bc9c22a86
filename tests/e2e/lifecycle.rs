//! Nothing that comes late, goes away and comes back needs anybody's hand.
