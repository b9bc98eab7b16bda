//! ACLs of secrets and containers.

use crate::acl::{Acl, AclChange};
use crate::failure::Parsed;
use crate::ids::EntityId;
use crate::request::EntityPath;

request!(/// An ACL, if one was stored.
    GetAcl {
        /// Whose.
        pub entity: EntityPath,
    } -> Option<Acl>, "acl.get.v1", "ACL(s) retrieval");

request!(/// Replaces an ACL. What isn't said is as it is by default; if nothing is said, the ACL goes.
    PutAcl {
        /// Whose.
        pub entity: EntityPath,
        /// What it is to say.
        pub acl: Parsed<AclChange>,
    } -> EntityId, "acl.put.v1", "ACL(s) Update", mutates);

request!(/// Changes an ACL, or makes one. What isn't said stays; if nothing is said, nothing happens.
    PatchAcl {
        /// Whose.
        pub entity: EntityPath,
        /// What is to change.
        pub change: Parsed<AclChange>,
    } -> EntityId, "acl.patch.v1", "ACL(s) Update", mutates);

request!(/// Removes an ACL, if there is one.
    DeleteAcl {
        /// Whose.
        pub entity: EntityPath,
    } -> (), "acl.delete.v1", "ACL(s) deletion", mutates);
