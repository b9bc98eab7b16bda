//! Consumers of secrets and containers.

use serde::{Deserialize, Serialize};

use crate::consumer::{ConsumerPage, ContainerConsumer, ContainerUse, SecretConsumer, SecretUse};
use crate::container::Container;
use crate::failure::Parsed;
use crate::request::{ContainerPath, EntityPath, SecretPath};
use crate::secret::{PageRequest, Secret};

request!(/// Lists who registered with a secret, by time.
    ListSecretConsumers {
        /// Which secret.
        pub id: SecretPath,
        /// Which part of the list.
        pub page: Parsed<PageRequest>,
    } -> ConsumerPage<SecretConsumer>, "secret.consumer.list.v1", "SecretConsumers(s) retrieval");

request!(/// Registers a consumer with a secret, unless it is registered already. The answer is the secret with
    /// its consumers.
    AddSecretConsumer {
        /// Which secret.
        pub id: SecretPath,
        /// What uses it.
        pub usage: Parsed<SecretUse>,
    } -> Secret, "secret.consumer.add.v1", "SecretConsumer creation", mutates);

request!(/// Ends a consumer's registration with a secret. The answer is the secret with its consumers.
    RemoveSecretConsumer {
        /// Which secret.
        pub id: SecretPath,
        /// What used it.
        pub usage: Parsed<SecretUse>,
    } -> Secret, "secret.consumer.remove.v1", "SecretConsumer deletion", mutates);

request!(/// Lists who registered with a container, by name.
    ListContainerConsumers {
        /// Which container.
        pub id: ContainerPath,
        /// Which part of the list.
        pub page: Parsed<PageRequest>,
    } -> ConsumerPage<ContainerConsumer>, "container.consumer.list.v1", "ContainerConsumers(s) retrieval");

request!(/// Registers a consumer with a container, unless it is registered already. The answer is the container
    /// with its consumers.
    AddContainerConsumer {
        /// Which container.
        pub id: ContainerPath,
        /// What uses it.
        pub usage: Parsed<ContainerUse>,
    } -> Container, "container.consumer.add.v1", "ContainerConsumer creation", mutates);

request!(/// Ends a consumer's registration with a container. The answer is the container with its consumers.
    RemoveContainerConsumer {
        /// Which container.
        pub id: ContainerPath,
        /// What used it.
        pub usage: Parsed<ContainerUse>,
    } -> Container, "container.consumer.remove.v1", "ContainerConsumer deletion", mutates);

/// What nobody is ever told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoConsumer {}

request!(/// Tells one consumer. No client ever learned the id of one, so there is none to be told.
    GetConsumer {
        /// Whose consumer.
        pub entity: EntityPath,
    } -> NoConsumer, "consumer.get.v1", "Consumer retrieval");
