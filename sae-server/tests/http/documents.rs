//! Documents, in a list and whole.

use crate::fixture::{build_index, serve_runs};
use serde_json::{Value, json};

const DOCUMENTS: &str = "/api/v1/saes/gpt2%2Fl6/documents";

fn ids(list: &Value) -> Vec<i64> {
    list["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|document| document["doc_id"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn documents_are_listed_in_the_dump_s_order() {
    let (client, _folder) = serve_runs();
    assert_eq!(
        client.json(DOCUMENTS).await,
        json!({"total": 3, "offset": 0, "documents": [
            {"doc_id": 10, "n_rows": 5, "preview": "The tide is high.", "metadata": {"category": "news"}},
            {"doc_id": 7, "n_rows": 4, "preview": "O tide my dear", "metadata": {"category": "poem"}},
            {"doc_id": 30, "n_rows": 3, "preview": "High water.", "metadata": {"category": "news"}}
        ]})
    );
}

#[tokio::test]
async fn documents_are_filtered_and_paged() {
    let (client, _folder) = serve_runs();
    for (query, documents, total) in [
        ("group=category:news", &[10, 30][..], 2),
        ("group=category:poem", &[7], 1),
        ("group=category:none", &[], 0),
        ("group=category:news&offset=1", &[30], 2),
        ("group=", &[10, 7, 30], 3),
        ("limit=1&offset=1", &[7], 3),
        ("offset=3", &[], 3),
    ] {
        let list = client.json(&format!("{DOCUMENTS}?{query}")).await;
        assert_eq!((ids(&list), &list["total"]), (documents.to_vec(), &json!(total)), "{query}");
    }
}

#[tokio::test]
async fn a_document_shows_what_fires_on_every_token() {
    let (client, _folder) = serve_runs();
    let page = client.json(&format!("{DOCUMENTS}/7?top=2")).await;
    let token = |row: u64, pos: i64, token: &str, l0: usize, latents: &[(u32, f32)]| {
        let latents: Vec<_> =
            latents.iter().map(|(latent, value)| json!({"latent": latent, "value": value})).collect();
        json!({"row": row, "pos": pos, "token": token, "l0": l0, "latents": latents})
    };
    let strongest = |latent: u32, max: f64, sum: f64, firings: u32| json!({"latent": latent, "max": max, "sum": sum, "firings": firings});
    assert_eq!(
        page,
        json!({
            "doc_id": 7, "n_rows": 4, "metadata": {"category": "poem"}, "previous": 10, "next": 30,
            "tokens": [
                token(5, 0, "O", 0, &[]),
                token(6, 1, " tide", 2, &[(0, 4.0), (5, 2.0)]),
                token(7, 2, " my", 3, &[(0, 5.0), (5, 3.0)]),
                token(8, 3, " dear", 0, &[])
            ],
            "strongest": [strongest(0, 5.0, 9.0, 2), strongest(5, 3.0, 5.0, 2), strongest(1, 2.0, 2.0, 1)]
        })
    );
    let first = client.json(&format!("{DOCUMENTS}/10?top=0")).await;
    assert_eq!((&first["previous"], &first["next"]), (&Value::Null, &json!(7)));
    assert_eq!(first["tokens"][1], token(1, 1, " tide", 3, &[]));
    let by_sum = [
        strongest(0, 3.0, 6.0, 3),
        strongest(1, 4.0, 4.0, 1),
        strongest(5, 1.0, 1.0, 1),
        strongest(3, 0.5, 0.5, 1),
    ];
    assert_eq!(first["strongest"], json!(by_sum));
    let last = client.json(&format!("{DOCUMENTS}/30")).await;
    assert_eq!((&last["previous"], &last["next"]), (&json!(7), &Value::Null));
}

#[tokio::test]
async fn wrong_documents_and_parameters_are_refused() {
    let (client, folder) = serve_runs();
    client.get(&format!("{DOCUMENTS}/8")).await.refuses(
        404,
        "not_found",
        &["document 8", "`gpt2/l6`", "has 3"],
    );
    client.get(&format!("{DOCUMENTS}/x")).await.refuses(400, "bad_request", &["path", "x"]);
    for (query, words) in [
        ("?page=1", &["page", "`offset`", "`limit`", "`group`"][..]),
        ("?limit=1001", &["limit", "1 to 1000"]),
        ("?group=news", &["group", "column:value", "`news`"]),
        ("?group=author:me", &["group", "`author`", "category"]),
        ("?group=surprise:1", &["group", "`surprise`", "category"]),
        ("/7?top=51", &["top", "0 to 50", "51"]),
        ("/7?tops=1", &["tops", "`top`"]),
    ] {
        client.get(&format!("{DOCUMENTS}{query}")).await.refuses(400, "bad_request", words);
    }

    build_index(&folder.path().join("trained"), &["doc_id"]);
    let none = client.json("/api/v1/saes/trained/documents?group=category:news").await;
    assert_eq!(none, json!({"total": 0, "offset": 0, "documents": []}));
    let answer = client.get("/api/v1/saes/trained/documents/7").await;
    answer.refuses(404, "not_found", &["`trained`", "no doc_id"]);
}
