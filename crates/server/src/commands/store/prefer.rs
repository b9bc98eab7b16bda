//! `bailey store prefer`

use anyhow::{Result, bail, ensure};
use bailey_core::ids::ProjectId;
use bailey_db::project_store;

use crate::commands::admin::Admin;

/// Has a project prefer the store with this name, or none.
pub async fn run(admin: &Admin, project: &ProjectId, name: Option<&str>) -> Result<()> {
    let assigned = admin.config.projects.get(project).map(|decided| decided.store.as_str());
    let assigned = assigned.filter(|store| !store.is_empty());
    let target = Some(format!("projects/{project}"));
    match name {
        Some(name) => {
            if let Some(assigned) = assigned {
                bail!(
                    "the configuration says that new payloads of project {project} go to `{assigned}`: change it there"
                );
            }
            admin.audited("store prefer", target, prefer(admin, project, name)).await?;
            eprintln!("new payloads of project {project} go to `{name}`; what is stored stays where it is");
        }
        None => {
            admin.audited("store prefer --none", target, prefer_none(admin, project)).await?;
            match assigned {
                Some(assigned) => eprintln!("project {project} prefers none; the configuration says `{assigned}`"),
                None => eprintln!("new payloads of project {project} go to the default store"),
            }
        }
    }
    Ok(())
}

async fn prefer(admin: &Admin, project: &ProjectId, name: &str) -> Result<()> {
    let store = admin.store_id(admin.store(Some(name))?).await?;
    let (project, now) = (project.clone(), admin.clock.now());
    let put = admin.databases.db.write(move |tx| {
        let project = project.clone();
        Box::pin(async move { project_store::put(tx, &project, store, now).await })
    });
    Ok(put.await?)
}

async fn prefer_none(admin: &Admin, project: &ProjectId) -> Result<()> {
    let whose = project.clone();
    let delete = admin.databases.db.write(move |tx| {
        let whose = whose.clone();
        Box::pin(async move { project_store::delete(tx, &whose).await })
    });
    ensure!(delete.await?, "project {project} prefers no store");
    Ok(())
}
