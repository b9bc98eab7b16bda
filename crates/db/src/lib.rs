//! Metadata: entities and thin repository functions
