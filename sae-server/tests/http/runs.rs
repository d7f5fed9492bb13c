//! The list of runs, and each in detail.

use crate::{
    fixture::{CONFIG, build_index, runs, serve_runs},
    support::Client,
};
use axum::http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn every_kind_of_run_is_listed() {
    let (client, _folder) = serve_runs();
    let last = json!({"step": 20, "steps": 40, "tokens_seen": 1280, "loss": 0.25, "fvu": 0.125, "l0": 2.0, "dead": 1});
    let hook = "blocks.6.hook_resid_post";
    assert_eq!(
        client.json("/api/v1/saes").await,
        json!({"saes": [
            {
                "id": "gpt2/l6", "status": "indexed", "architecture": "standard", "method": "batchtopk",
                "d_in": 4, "d_sae": 6, "k": null, "model_name": "gpt2", "hook_name": hook, "training": last,
                "index": {
                    "n_rows": 12, "n_firings": 16, "n_documents": 3, "n_dead": 2,
                    "l0_mean": 16.0 / 12.0, "fvu": 0.0
                },
                "problem": null
            },
            {
                "id": "trained", "status": "trained", "architecture": "standard", "method": "batchtopk",
                "d_in": 4, "d_sae": 6, "k": null, "model_name": "from cfg.json", "hook_name": hook,
                "training": null, "index": null, "problem": null
            },
            {
                "id": "young", "status": "training", "architecture": "batchtopk", "method": null,
                "d_in": null, "d_sae": 6, "k": 2, "model_name": null, "hook_name": null,
                "training": last, "index": null, "problem": null
            }
        ]})
    );
}

#[tokio::test]
async fn a_run_tells_its_configuration_evaluation_and_columns() {
    let (client, _folder) = serve_runs();
    let detail = client.json("/api/v1/saes/gpt2%2Fl6").await;
    assert_eq!(detail["id"], "gpt2/l6");
    assert_eq!(detail["config"], CONFIG);
    assert_eq!(detail["eval"], json!({"fvu": 0.0}));
    assert_eq!(
        detail["groups"],
        json!([{"column": "category", "values": [{"value": "news", "rows": 8}, {"value": "poem", "rows": 4}]}])
    );
    let names: Vec<&Value> =
        detail["columns"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
    assert_eq!(names, ["doc_id", "pos", "token", "category", "surprise"]);
    assert_eq!(detail["columns"][0]["type"], "Int64");

    let young = client.json("/api/v1/saes/young").await;
    assert_eq!(young["eval"], Value::Null);
    assert_eq!((&young["groups"], &young["columns"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn events_leave_out_a_line_that_is_being_written() {
    let (client, _folder) = serve_runs();
    let events = client.json("/api/v1/saes/young/events").await;
    let steps: Vec<u64> =
        events["events"].as_array().unwrap().iter().map(|e| e["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [10, 20]);
    assert_eq!(
        events["events"][1],
        json!({
            "step": 20, "steps": 40, "tokens_seen": 1280, "loss": 0.25, "terms": {"reconstruction": 0.25}, "l0": 2.0,
            "fvu": 0.125, "dead": 1, "lr": 0.001, "grad_norm": 1.0, "tokens_per_s": 9000.0
        })
    );
    assert_eq!(client.json("/api/v1/saes/trained/events").await, json!({"events": []}));
}

#[tokio::test]
async fn only_names_of_runs_are_found() {
    let (client, folder) = serve_runs();
    fs_err::create_dir_all(folder.path().join("empty")).unwrap();
    let root = folder.path().file_name().unwrap().to_str().unwrap();
    let round = format!("gpt2%2F..%2F..%2F{root}%2Fyoung");
    for name in ["absent", "empty", "gpt2", "..", "%2E%2E%2Fyoung", ".%2Fyoung", "%2Fyoung", &round] {
        for rest in ["", "/events", "/latents", "/latents/0", "/documents", "/documents/10"] {
            let answer = client.get(&format!("/api/v1/saes/{name}{rest}")).await;
            answer.refuses(404, "not_found", &["no run", "/api/v1/saes"]);
        }
    }
}

#[tokio::test]
async fn a_run_without_an_index_says_so() {
    let (client, _folder) = serve_runs();
    for rest in ["latents", "latents/0", "documents", "documents/10"] {
        let answer = client.get(&format!("/api/v1/saes/trained/{rest}")).await;
        answer.refuses(409, "no_index", &["`trained`", "sae index"]);
    }
}

#[tokio::test]
async fn a_broken_run_is_listed_with_its_problem() {
    let folder = runs();
    let run = |name: &str| folder.path().join(name);
    fs_err::write(run("gpt2/l6/index/meta.json"), "{").unwrap();
    fs_err::write(run("trained/sae/cfg.json"), "{}}").unwrap();
    fs_err::write(run("young/config.toml"), "[sae").unwrap();
    let client = Client::of(folder.path());
    let list = client.json("/api/v1/saes").await;
    for (place, status, file) in
        [(0, "trained", "meta.json"), (1, "trained", "cfg.json"), (2, "training", "config.toml")]
    {
        let sae = &list["saes"][place];
        assert_eq!(sae["status"], status);
        assert!(sae["problem"].as_str().unwrap().contains(file), "{sae}");
    }
    assert_eq!(list["saes"][2]["training"]["step"], 20);
    let answer = client.get("/api/v1/saes/gpt2%2Fl6/latents").await;
    answer.refuses(500, "unreadable", &["meta.json", "sae index"]);
    assert_eq!(client.get("/api/v1/saes/gpt2%2Fl6").await.status, StatusCode::OK);

    fs_err::write(run("gpt2/l6/eval.json"), "no").unwrap();
    client.get("/api/v1/saes/gpt2%2Fl6").await.refuses(500, "unreadable", &["eval.json", "sae eval"]);
}

#[tokio::test]
async fn the_list_follows_the_folder() {
    let (client, folder) = serve_runs();
    let ids = async || {
        let list = client.json("/api/v1/saes").await;
        list["saes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sae| sae["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids().await, ["gpt2/l6", "trained", "young"]);
    for new in ["a/b/c/d", "a/b/c/d/inside", "a/b/c/x/deep", ".hidden", "young/inside"] {
        let run = folder.path().join(new);
        fs_err::create_dir_all(&run).unwrap();
        fs_err::write(run.join("config.toml"), "").unwrap();
    }
    fs_err::remove_dir_all(folder.path().join("trained")).unwrap();
    assert_eq!(ids().await, ["a/b/c/d", "gpt2/l6", "young"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_a_run_is_a_run_and_other_links_are_not_followed() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), runs());
    std::os::unix::fs::symlink(elsewhere.path().join("young"), folder.path().join("linked")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("round")).unwrap();
    let list = Client::of(folder.path()).json("/api/v1/saes").await;
    assert_eq!(list["saes"].as_array().unwrap().len(), 1);
    assert_eq!(list["saes"][0]["id"], "linked");
}

#[tokio::test]
async fn an_index_that_was_built_again_is_opened_again() {
    let (client, folder) = serve_runs();
    let run = folder.path().join("gpt2/l6");
    assert_eq!(client.json("/api/v1/saes/gpt2%2Fl6").await["index"]["n_documents"], 3);
    fs_err::remove_dir_all(run.join("index")).unwrap();
    client.get("/api/v1/saes/gpt2%2Fl6/latents").await.refuses(409, "no_index", &[]);
    build_index(&run, &["doc_id", "pos"]);
    assert_eq!(client.json("/api/v1/saes/gpt2%2Fl6").await["index"]["n_documents"], 0);
}

#[tokio::test]
async fn one_run_can_be_served_alone() {
    let folder = runs();
    let client = Client::of(&folder.path().join("gpt2/l6"));
    let list = client.json("/api/v1/saes").await;
    assert_eq!(list["saes"].as_array().unwrap().len(), 1);
    assert_eq!(list["saes"][0]["id"], "l6");
    assert_eq!(client.json("/api/v1/saes/l6/latents/0").await["latent"], 0);
    client.get("/api/v1/saes/young").await.refuses(404, "not_found", &["young"]);
}
