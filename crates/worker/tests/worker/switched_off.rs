//! Certificates that are to be renewed, while none are offered.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::ca::RenewalWindow;
use bailey_core::certificate::KeySource;
use bailey_core::order::NewOrder;
use bailey_db::{Engine, renewal};
use bailey_testkit::memory::names;
use bailey_worker::{CertificateOffer, Schedules};

use crate::certificates::{ec, give, parts_of, product, subject, with_ca};
use crate::harness::Harness;
use crate::renewing::{parts_after, renewed};

const PATIENCE: Duration = Duration::from_secs(5);

fn order() -> NewOrder {
    renewed(KeySource::Made { spec: ec(), subject: subject(&names()) })
}

fn offer(harness: &mut Harness, certificates: CertificateOffer) {
    Arc::get_mut(&mut harness.worker).unwrap().api.certificates = certificates;
}

#[tokio::test]
async fn renewal_rests_while_certificates_are_off() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (harness, authority) = with_ca(engine, 0).await;
        let mut harness = harness.with_quick_rotation();
        let schedules = Schedules::start(&harness.worker);
        let (container, before) = product(&harness, give(&harness, order()).await.unwrap()).await;
        schedules.stop(PATIENCE).await;
        let pending = give(&harness, order()).await.unwrap();

        offer(&mut harness, CertificateOffer::Off);
        let schedules = Schedules::start(&harness.worker);
        // Given before, it is worked on all the same. With that its CA is asked, and not again.
        product(&harness, pending).await;
        let asked = authority.asked();
        let start = harness.worker.clock.now();
        let ask_again = Some(Duration::from_secs(60));
        authority.suggest(Some(RenewalWindow { start, end: start + Duration::from_secs(1), ask_again }));
        harness.pass_hours(20 * 24 + 1);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!((parts_of(&harness, container).await.1, authority.signed()), (before.clone(), 2));
        assert_eq!(authority.asked(), asked);
        let standing = renewal::standing(harness.worker.db.reader(), harness.worker.clock.now()).await.unwrap();
        assert_eq!((standing.certificates, standing.overdue, standing.failing), (2, 2, 0));
        schedules.stop(PATIENCE).await;

        offer(&mut harness, CertificateOffer::Auto);
        let schedules = Schedules::start(&harness.worker);
        parts_after(&harness, container, &before[0].1).await;
        schedules.stop(PATIENCE).await;
    }
}
