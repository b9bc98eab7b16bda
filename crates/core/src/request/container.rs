//! Containers and what is in them.

use crate::container::{Container, ContainerQuery, GivenReference, NewContainer};
use crate::failure::Parsed;
use crate::idempotency::IdempotencyKey;
use crate::ids::ContainerId;
use crate::secret::Page;

/// A container's id as it stood in the path, or the complaint that it is none.
pub type ContainerPath = Parsed<ContainerId>;

request!(/// Whether there is a container. Asked for a caller who will be refused for another reason: that
    /// there is none is told before.
    FindContainer {
        /// Which container.
        pub id: ContainerPath,
    } -> (), "container.find.v1", "Container retrieval");

request!(/// Creates a container of secrets that are there.
    CreateContainer {
        /// The container.
        pub container: Parsed<NewContainer>,
        /// What makes a repetition of the request known as such.
        pub idempotency: Parsed<Option<IdempotencyKey>>,
    } -> ContainerId, "container.create.v1", "Container creation", mutates);

request!(/// Tells what a container is and holds.
    GetContainer {
        /// Which container.
        pub id: ContainerPath,
    } -> Container, "container.get.v1", "Container retrieval");

request!(/// Lists the project's containers with what they hold.
    ListContainers {
        /// Which, which part.
        pub query: Parsed<ContainerQuery>,
    } -> Page<Container>, "container.list.v1", "Containers(s) retrieval");

request!(/// Deletes a container; its secrets stay.
    DeleteContainer {
        /// Which container.
        pub id: ContainerPath,
    } -> (), "container.delete.v1", "Container deletion", mutates);

request!(/// Puts a secret into a generic container.
    AddContainerSecret {
        /// Which container.
        pub id: ContainerPath,
        /// The secret and what it is to be called.
        pub reference: Parsed<GivenReference>,
    } -> ContainerId, "container.secret.add.v1", "Container Secret creation", mutates);

request!(/// Takes a secret out of a container.
    RemoveContainerSecret {
        /// Which container.
        pub id: ContainerPath,
        /// The secret and what it is called.
        pub reference: Parsed<GivenReference>,
    } -> (), "container.secret.remove.v1", "Container Secret deletion", mutates);
