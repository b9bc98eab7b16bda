//! All routes. What isn't here doesn't exist.

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, Resource, Route};

use crate::extract::asker::Asker;
use crate::handler::{
    acl, ca, ca_choice, challenge, consumer, container, fallback, health, metadata, order, payload, quota, revocation,
    secret, secret_store, transport_key, version,
};
use crate::{edge, openapi};

/// Adds every route to an application that has its state.
pub fn configure(app: &mut ServiceConfig) {
    let v1 = web::scope("/v1")
        .service(api("", "GET", [web::get().to(version::describe)]))
        .service(api("/secrets", "GET, POST", [web::get().to(secret::list), web::post().to(secret::create)]))
        .service(api(
            "/secrets/{id}",
            "DELETE, GET, PUT",
            [web::get().to(secret::get), web::put().to(payload::put), web::delete().to(secret::delete)],
        ))
        .service(api("/secrets/{id}/payload", "GET", [web::get().to(payload::get)]))
        .service(api(
            "/secrets/{id}/metadata",
            "GET, POST, PUT",
            [web::get().to(metadata::get_all), web::put().to(metadata::put_all), web::post().to(metadata::add)],
        ))
        .service(api(
            "/secrets/{id}/metadata/{key}",
            "DELETE, GET, PUT",
            [web::get().to(metadata::get), web::put().to(metadata::put), web::delete().to(metadata::delete)],
        ))
        .service(api("/containers", "GET, POST", [web::get().to(container::list), web::post().to(container::create)]))
        .service(api(
            "/containers/{container}",
            "DELETE, GET",
            [web::get().to(container::get), web::delete().to(container::delete)],
        ))
        .service(api(
            "/containers/{container}/secrets",
            "DELETE, POST",
            [web::post().to(container::add_secret), web::delete().to(container::remove_secret)],
        ))
        .service(api("/secret-stores", "GET", [web::get().to(secret_store::list)]))
        .service(api("/secret-stores/global-default", "GET", [web::get().to(secret_store::get_default)]))
        .service(api("/secret-stores/preferred", "GET", [web::get().to(secret_store::get_preferred)]))
        .service(api("/secret-stores/{store}", "GET", [web::get().to(secret_store::get)]))
        .service(api(
            "/secret-stores/{store}/preferred",
            "DELETE, POST",
            [web::post().to(secret_store::prefer), web::delete().to(secret_store::prefer_none)],
        ))
        .service(api("/secret-stores/{store}/{nothing}", "", []))
        .service(api(
            "/orders",
            "GET, POST",
            [web::get().to(order::list), web::post().to(order::create), web::put().to(order::update)],
        ))
        .service(api(
            "/orders/{order}",
            "DELETE, GET",
            [web::get().to(order::get), web::put().to(order::change), web::delete().to(order::delete)],
        ))
        .service(api("/orders/{order}/revoke", "POST", [web::post().to(revocation::revoke)]))
        .service(api(
            "/secrets/{id}/acl",
            "DELETE, GET, PATCH, PUT",
            [
                web::get().to(acl::get_of_secret),
                web::put().to(acl::put_of_secret),
                web::patch().to(acl::patch_of_secret),
                web::delete().to(acl::delete_of_secret),
            ],
        ))
        .service(api(
            "/containers/{container}/acl",
            "DELETE, GET, PATCH, PUT",
            [
                web::get().to(acl::get_of_container),
                web::put().to(acl::put_of_container),
                web::patch().to(acl::patch_of_container),
                web::delete().to(acl::delete_of_container),
            ],
        ))
        .service(api(
            "/secrets/{id}/consumers",
            "DELETE, GET, POST",
            [
                web::get().to(consumer::list_of_secret),
                web::post().to(consumer::add_to_secret),
                web::delete().to(consumer::remove_from_secret),
            ],
        ))
        .service(api("/secrets/{id}/consumers/{consumer}", "GET", [web::get().to(consumer::get_of_secret)]))
        .service(api(
            "/containers/{container}/consumers",
            "DELETE, GET, POST",
            [
                web::get().to(consumer::list_of_container),
                web::post().to(consumer::add_to_container),
                web::delete().to(consumer::remove_from_container),
            ],
        ))
        .service(api(
            "/containers/{container}/consumers/{consumer}",
            "GET",
            [web::get().to(consumer::get_of_container)],
        ))
        .service(api("/consumers/{consumed}/consumers", "GET", [web::get().to(consumer::list_of_either)]))
        .service(api("/quotas", "GET", [web::get().to(quota::get)]))
        // Barbican's links have an underscore where its route has none.
        .service(api("/project_quotas", "GET", [web::get().to(quota::list)]))
        .service(api("/project-quotas", "GET", [web::get().to(quota::list)]))
        .service(api(
            "/project-quotas/{project}",
            "DELETE, GET, PUT",
            [web::get().to(quota::get_own), web::put().to(quota::put_own), web::delete().to(quota::delete_own)],
        ))
        .service(api(
            "/transport_keys",
            "GET, POST",
            [web::get().to(transport_key::list), web::post().to(transport_key::create)],
        ))
        .service(api(
            "/transport_keys/{transport_key}",
            "DELETE, GET",
            [web::get().to(transport_key::get), web::delete().to(transport_key::delete)],
        ))
        .configure(authorities)
        .default_service(web::to(fallback::unknown))
        .wrap(from_fn(edge::negotiate));
    app.service(v1)
        .service(open("/", web::get().to(version::list)).wrap(from_fn(edge::negotiate)))
        .service(open("/healthcheck", web::get().to(health::check)))
        .configure(probes)
        .service(open("/crl/{ca}/{generation}", web::get().to(revocation::list)))
        .service(open("/ocsp/{ca}/{question:.*}", web::get().to(revocation::answer_to_path)))
        .service(web::resource("/ocsp/{ca}").route(web::post().to(revocation::answer)))
        .service(open("/.well-known/acme-challenge/{token}", web::get().to(challenge::get)))
        .service(open("/openapi.json", web::get().to(openapi::document)))
        .service(open("/docs", web::get().to(openapi::to_docs)))
        .service(open("/docs/{file:.*}", web::get().to(openapi::docs)))
        .default_service(web::to(fallback::nowhere));
}

/// Adds the routes of certificate authorities.
fn authorities(v1: &mut ServiceConfig) {
    v1.service(api("/cas", "GET, POST", [web::get().to(ca::list), web::post().to(ca::create)]))
        .service(api("/cas/all", "GET", [web::get().to(ca::list_all)]))
        .service(api("/cas/preferred", "GET", [web::get().to(ca_choice::get_preferred)]))
        .service(api("/cas/global-preferred", "GET", [web::get().to(ca_choice::get_global_preferred)]))
        .service(api("/cas/unset-global-preferred", "POST", [web::post().to(ca_choice::prefer_none_globally)]))
        .service(api("/cas/{ca}", "DELETE, GET", [web::get().to(ca::get), web::delete().to(ca::delete)]))
        .service(api("/cas/{ca}/cacert", "GET", [web::get().to(ca::get_certificate)]))
        .service(api("/cas/{ca}/intermediates", "GET", [web::get().to(ca::get_chain)]))
        .service(api("/cas/{ca}/projects", "GET", [web::get().to(ca::list_projects)]))
        .service(api("/cas/{ca}/add-to-project", "POST", [web::post().to(ca_choice::choose)]))
        .service(api("/cas/{ca}/remove-from-project", "POST", [web::post().to(ca_choice::dismiss)]))
        .service(api("/cas/{ca}/set-preferred", "POST", [web::post().to(ca_choice::prefer)]))
        .service(api("/cas/{ca}/set-global-preferred", "POST", [web::post().to(ca_choice::prefer_globally)]));
}

/// Adds what a supervisor asks: whether the process lives, and whether it should be sent clients. Processes
/// that don't serve the API have these alone.
pub fn probes(app: &mut ServiceConfig) {
    app.service(open("/livez", web::get().to(health::live))).service(open("/readyz", web::get().to(health::ready)));
}

/// A resource of the API with its routes and the methods they are for, sorted.
fn api<const N: usize>(path: &str, allowed: &'static str, routes: [Route; N]) -> Resource {
    routes.into_iter().fold(web::resource(path), Resource::route).default_service(web::to(
        move |asker: Asker, request: HttpRequest| fallback::unsupported(asker, request, allowed),
    ))
}

/// A resource that needs no credentials, for GET alone.
fn open(path: &str, get: Route) -> Resource {
    web::resource(path).route(get).default_service(web::to(|| async { fallback::method_not_allowed("GET") }))
}
