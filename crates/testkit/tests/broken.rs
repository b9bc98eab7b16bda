//! The suites notice every broken double, at least by the cases named here.

use std::sync::Arc;

use bailey_testkit::broken::{
    BackendFault, BrokenBackendFixture, BrokenCaFixture, BrokenStoreFixture, CaFault, StoreFault,
};
use bailey_testkit::conformance::{certificate_authority, crypto_backend, open, secret_store};
use bailey_testkit::envelope::{EnvelopeFixture, MemoryBackendFixture, MemoryVaultFixture};

const STORES: [(StoreFault, &[&str]); 26] = [
    (StoreFault::Forgets, &["returns_what_was_stored"]),
    (StoreFault::KeepsToItself, &["another_instance_returns_it"]),
    (StoreFault::Overwrites, &["a_used_write_id_conflicts_and_changes_nothing"]),
    (StoreFault::KeepsDeleted, &["what_was_deleted_is_not_found", "another_instance_finds_no_deleted_bytes"]),
    (StoreFault::DeletesOnce, &["deleting_again_succeeds"]),
    (StoreFault::DeletesForOthers, &["deleting_one_leaves_the_others"]),
    (StoreFault::IgnoresPlace, &["another_place_gets_nothing", "another_payloads_reference_gets_nothing"]),
    (StoreFault::SwapsAnswers, &["concurrent_payloads_are_kept_apart", "returns_what_was_stored"]),
    (StoreFault::Truncates, &["returns_what_was_stored"]),
    (StoreFault::LeaksIntoReference, &["no_payload_is_readable_outside"]),
    (StoreFault::LeaksIntoBackEnd, &["no_payload_is_readable_outside"]),
    (StoreFault::LeaksIntoErrors, &["a_used_write_id_conflicts_and_changes_nothing"]),
    (StoreFault::ListsTooMuch, &["makes_keys_of_every_listed_size"]),
    (StoreFault::MakesUnlistedSizes, &["an_unlisted_key_size_is_unsupported"]),
    (StoreFault::TakesUnlistedTypes, &["an_unlisted_type_is_unsupported"]),
    (StoreFault::MakesOneKey, &["makes_keys_of_every_listed_size"]),
    (StoreFault::ForgetsParity, &["des_keys_alone_have_odd_parity"]),
    (StoreFault::SetsParityAlways, &["des_keys_alone_have_odd_parity"]),
    (StoreFault::HidesTampering, &["any_changed_byte_is_corrupt", "swapped_bytes_are_corrupt"]),
    (StoreFault::VerifiesFromMemory, &["verification_sees_past_caches"]),
    (StoreFault::ForgetsToList, &["the_inventory_lists_each_write_once_in_order"]),
    (StoreFault::MakesOnePair, &["makes_every_listed_key_pair"]),
    (StoreFault::MixesHalves, &["makes_every_listed_key_pair"]),
    (StoreFault::OverwritesByPairs, &["a_key_pair_has_write_ids_of_its_own"]),
    (StoreFault::KeepsHalfAPair, &["a_key_pair_has_write_ids_of_its_own"]),
    (StoreFault::MakesUnlistedPairs, &["an_unlisted_key_pair_is_unsupported"]),
];

const BACKENDS: [(BackendFault, &[&str]); 14] = [
    (BackendFault::SharesKek, &["each_kek_is_another_key", "another_kek_is_corrupt"]),
    (BackendFault::IgnoresContext, &["a_wrapping_is_bound_to_its_context"]),
    (BackendFault::IgnoresMkek, &["a_wrapping_is_bound_to_its_mkek"]),
    (BackendFault::EncryptsUnderAnything, &["nothing_is_encrypted_under_a_changed_wrapping"]),
    (
        BackendFault::IgnoresEndOfWrapping,
        &["a_wrapping_made_of_two_is_corrupt", "any_changed_byte_of_a_wrapping_is_corrupt"],
    ),
    (BackendFault::IgnoresAssociatedData, &["other_associated_data_is_corrupt"]),
    (BackendFault::ReusesNonce, &["the_same_payload_gives_other_bytes"]),
    (BackendFault::LeaksPayload, &["no_payload_is_readable_in_its_ciphertext"]),
    (BackendFault::IgnoresTrailingBytes, &["cut_and_extended_ciphertexts_are_corrupt"]),
    (BackendFault::RewrapsToAnotherKey, &["rewrapping_changes_the_wrapping_only"]),
    (BackendFault::SticksToFirstMkek, &["new_wrappings_are_under_the_active_mkek"]),
    (BackendFault::BlamesTheData, &["a_missing_mkek_is_unavailable"]),
    (BackendFault::DrawsNothing, &["random_bytes_are_as_many_as_asked_and_never_the_same"]),
    (BackendFault::IsAlwaysHealthy, &["it_is_healthy_while_its_active_mkek_is_there"]),
];

/// Faults of a backend that a store over it shows, too.
const ENVELOPES: [(BackendFault, &[&str]); 6] = [
    (BackendFault::IgnoresAssociatedData, &["swapped_bytes_are_corrupt"]),
    (BackendFault::ReusesNonce, &["equal_payloads_are_stored_as_different_bytes"]),
    (BackendFault::LeaksPayload, &["no_payload_is_readable_outside"]),
    (BackendFault::IgnoresTrailingBytes, &["shortened_and_extended_bytes_are_corrupt"]),
    (BackendFault::RewrapsToAnotherKey, &["rewrapping_moves_every_kek_and_changes_no_payload"]),
    (BackendFault::DrawsNothing, &["makes_keys_of_every_listed_size"]),
];

const AUTHORITIES: [(CaFault, &[&str]); 18] = [
    (CaFault::CertifiesAnotherKey, &["the_certificate_is_for_the_requests_key"]),
    (CaFault::LosesIntermediates, &["openssl_follows_the_certificate_to_the_root"]),
    (CaFault::TakesBadSignatures, &["a_request_with_a_bad_signature_is_rejected"]),
    (CaFault::CopiesExtensions, &["nothing_beyond_the_profile_is_copied"]),
    (CaFault::IgnoresProfile, &["an_unknown_profile_is_rejected"]),
    (CaFault::IssuesAgain, &["asking_again_gives_the_same_certificate", "steps_taken_again_make_one_certificate"]),
    (CaFault::ShufflesSubjects, &["asking_again_with_a_long_subject_gives_the_same_certificate"]),
    (CaFault::KeepsStatesToItself, &["another_instance_goes_on"]),
    (CaFault::DeniesTraces, &["who_leaves_no_traces_answers_at_once"]),
    (CaFault::TakesAnyState, &["a_state_of_nobodys_is_corrupt"]),
    (CaFault::RepeatsSerials, &["serials_are_positive_long_and_never_the_same"]),
    (CaFault::ShortensSerials, &["serials_are_positive_long_and_never_the_same"]),
    (CaFault::RevokesOnce, &["revoking_again_succeeds"]),
    (CaFault::ForgetsRevoking, &["revoking_again_succeeds"]),
    (CaFault::RevokesOthers, &["what_another_ca_issued_is_not_found"]),
    (CaFault::ForgetsFirstReason, &["the_first_reason_stands"]),
    (CaFault::ListsNothing, &["a_list_tells_what_was_revoked"]),
    (CaFault::RepeatsListNumber, &["a_later_list_has_a_higher_number_and_tells_no_less"]),
];

async fn fixtures(fault: BackendFault) -> anyhow::Result<(Arc<BrokenBackendFixture>, Arc<MemoryVaultFixture>)> {
    let vault = Arc::new(MemoryVaultFixture::default());
    let inner = Arc::new(MemoryBackendFixture::new(vault.clone()).await?);
    Ok((Arc::new(BrokenBackendFixture::new(fault, inner)), vault))
}

async fn store_failures(fault: StoreFault) -> Vec<&'static str> {
    let suite = secret_store::suite(open(move || async move { Ok(Arc::new(BrokenStoreFixture::new(fault)) as _) }));
    suite.await.unwrap().failures().await.unwrap().into_keys().collect()
}

async fn backend_failures(fault: BackendFault) -> Vec<&'static str> {
    let suite = crypto_backend::suite(open(move || async move { Ok(fixtures(fault).await?.0 as _) }));
    suite.failures().await.unwrap().into_keys().collect()
}

async fn envelope_failures(fault: BackendFault) -> Vec<&'static str> {
    let suite = secret_store::suite(open(move || async move {
        let (backend, vault) = fixtures(fault).await?;
        Ok(Arc::new(EnvelopeFixture::new(backend, vault)) as _)
    }));
    suite.await.unwrap().failures().await.unwrap().into_keys().collect()
}

async fn authority_failures(fault: CaFault) -> Vec<&'static str> {
    let suite =
        certificate_authority::suite(open(move || async move { Ok(Arc::new(BrokenCaFixture::new(fault)?) as _) }));
    suite.await.unwrap().failures().await.unwrap().into_keys().collect()
}

fn expect_noticed(fault: impl std::fmt::Debug, expected: &[&str], failures: &[&str]) {
    for case in expected {
        assert!(failures.contains(case), "{fault:?} passes {case}; it fails {failures:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_store_is_noticed() {
    for (fault, expected) in STORES {
        expect_noticed(fault, expected, &store_failures(fault).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_backend_is_noticed() {
    for (fault, expected) in BACKENDS {
        expect_noticed(fault, expected, &backend_failures(fault).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_backend_is_noticed_through_an_envelope() {
    for (fault, expected) in ENVELOPES {
        expect_noticed(fault, expected, &envelope_failures(fault).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_authority_is_noticed() {
    for (fault, expected) in AUTHORITIES {
        expect_noticed(fault, expected, &authority_failures(fault).await);
    }
}
