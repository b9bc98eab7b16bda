//! The rules: every name that a policy can decide about.

/// What kind of resource a rule is about, which tells what a policy can see of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    /// Lists, creations, and what belongs to no single resource. Nothing to see.
    Service,
    /// A secret, or what hangs on it.
    Secret,
    /// A container, or what hangs on it.
    Container,
    /// An ACL: whose resource it is, but not what it says.
    Acl,
    /// An order.
    Order,
}

impl Resource {
    /// The name of the entity type in the schema.
    pub(super) const fn type_name(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Secret => "Secret",
            Self::Container => "Container",
            Self::Acl => "Acl",
            Self::Order => "Order",
        }
    }
}

macro_rules! rules {
    ($($resource:ident { $($name:ident = $wire:literal,)+ })+) => {
        /// A rule of Barbican's policy. Those of resources that aren't served yet are here too, so
        /// that a policy file written today names nothing unknown.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rule {
            $($(#[doc = concat!("`", $wire, "`.")] $name,)+)+
        }

        impl Rule {
            /// Every rule, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)+)+];

            /// The name in policies and audit events.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$name => $wire,)+)+ }
            }

            pub(super) const fn resource(self) -> Resource {
                match self { $($(Self::$name)|+ => Resource::$resource,)+ }
            }
        }
    };
}

rules! {
    Service {
        SecretsPost = "secrets:post",
        SecretsGet = "secrets:get",
        ContainersPost = "containers:post",
        ContainersGet = "containers:get",
        OrdersPost = "orders:post",
        OrdersPut = "orders:put",
        OrdersGet = "orders:get",
        QuotasGet = "quotas:get",
        ProjectQuotasGet = "project_quotas:get",
        ProjectQuotasPut = "project_quotas:put",
        ProjectQuotasDelete = "project_quotas:delete",
        SecretStoresGet = "secretstores:get",
        SecretStoresGetGlobalDefault = "secretstores:get_global_default",
        SecretStoresGetPreferred = "secretstores:get_preferred",
        SecretStoreGet = "secretstore:get",
        SecretStorePreferredPost = "secretstore_preferred:post",
        SecretStorePreferredDelete = "secretstore_preferred:delete",
        TransportKeysGet = "transport_keys:get",
        TransportKeysPost = "transport_keys:post",
        TransportKeyGet = "transport_key:get",
        TransportKeyDelete = "transport_key:delete",
        CasGetLimited = "certificate_authorities:get_limited",
        CasGetAll = "certificate_authorities:get_all",
        CasPost = "certificate_authorities:post",
        CasGetPreferred = "certificate_authorities:get_preferred_ca",
        CasGetGlobalPreferred = "certificate_authorities:get_global_preferred_ca",
        CasUnsetGlobalPreferred = "certificate_authorities:unset_global_preferred",
        CaGet = "certificate_authority:get",
        CaGetCertificate = "certificate_authority:get_cacert",
        CaGetChain = "certificate_authority:get_ca_cert_chain",
        CaGetProjects = "certificate_authority:get_projects",
        CaAddToProject = "certificate_authority:add_to_project",
        CaRemoveFromProject = "certificate_authority:remove_from_project",
        CaSetPreferred = "certificate_authority:set_preferred",
        CaSetGlobalPreferred = "certificate_authority:set_global_preferred",
        CaDelete = "certificate_authority:delete",
    }
    Secret {
        SecretGet = "secret:get",
        SecretDecrypt = "secret:decrypt",
        SecretPut = "secret:put",
        SecretDelete = "secret:delete",
        SecretMetaGet = "secret_meta:get",
        SecretMetaPost = "secret_meta:post",
        SecretMetaPut = "secret_meta:put",
        SecretMetaDelete = "secret_meta:delete",
        SecretConsumersGet = "secret_consumers:get",
        SecretConsumersPost = "secret_consumers:post",
        SecretConsumersDelete = "secret_consumers:delete",
    }
    Container {
        ContainerGet = "container:get",
        ContainerDelete = "container:delete",
        ContainerSecretPost = "container_secret:post",
        ContainerSecretDelete = "container_secret:delete",
        ContainerConsumersGet = "container_consumers:get",
        ContainerConsumersPost = "container_consumers:post",
        ContainerConsumersDelete = "container_consumers:delete",
        ConsumerGet = "consumer:get",
    }
    Acl {
        SecretAclsGet = "secret_acls:get",
        SecretAclsPutPatch = "secret_acls:put_patch",
        SecretAclsDelete = "secret_acls:delete",
        ContainerAclsGet = "container_acls:get",
        ContainerAclsPutPatch = "container_acls:put_patch",
        ContainerAclsDelete = "container_acls:delete",
    }
    Order {
        OrderGet = "order:get",
        OrderDelete = "order:delete",
    }
}
