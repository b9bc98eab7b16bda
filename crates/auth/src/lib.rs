//! Authenticators: who is asking
