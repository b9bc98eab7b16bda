//! Ciphertext and wrapped project KEKs, in a database of their own
