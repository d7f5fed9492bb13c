//! The list of latents.

use crate::fixture::serve_runs;
use serde_json::{Value, json};

/// The numbers listed, and how many there are after filters.
fn numbers(list: &Value) -> (Vec<u64>, u64) {
    let latents = list["latents"].as_array().unwrap();
    let numbers = latents.iter().map(|row| row["latent"].as_u64().unwrap()).collect();
    (numbers, list["total"].as_u64().unwrap())
}

#[tokio::test]
async fn a_latent_is_listed_with_its_statistics_and_tokens() {
    let (client, _folder) = serve_runs();
    let list = client.json("/api/v1/saes/gpt2%2Fl6/latents?limit=1").await;
    let token = |token: &str, firings: u32, mean: f64, share: f64| json!({"token": token, "firings": firings, "mean": mean, "share": share});
    assert_eq!(
        list,
        json!({"total": 6, "offset": 0, "latents": [{
            "latent": 0, "firings": 7, "density": 7.0 / 12.0, "max": 7.0, "mean": 4.0, "documents": 3,
            "top_tokens": [
                token(" tide", 2, 3.5, 0.25), token(".", 1, 7.0, 0.25), token("High", 1, 6.0, 0.21428572),
                token(" my", 1, 5.0, 0.17857143), token(" high", 1, 2.0, 0.071428575)
            ]
        }]})
    );
}

#[tokio::test]
async fn latents_are_sorted_filtered_and_paged() {
    let (client, _folder) = serve_runs();
    // Latents 2 and 4 never fire; densities are 7, 3, 0, 1, 0 and 5 twelfths; the means of 1 and 5 are alike.
    for (query, latents, total) in [
        ("", &[0, 5, 1, 3, 2, 4][..], 6),
        ("sort=density&order=asc", &[2, 4, 3, 1, 5, 0], 6),
        ("sort=max", &[0, 5, 1, 3, 2, 4], 6),
        ("sort=mean", &[0, 1, 5, 3, 2, 4], 6),
        ("sort=mean&order=asc&alive=true", &[3, 1, 5, 0], 4),
        ("sort=id", &[0, 1, 2, 3, 4, 5], 6),
        ("sort=id&order=desc", &[5, 4, 3, 2, 1, 0], 6),
        ("sort=id&alive=true", &[0, 1, 3, 5], 4),
        ("sort=id&alive=false", &[0, 1, 2, 3, 4, 5], 6),
        ("sort=id&min_density=0.25", &[0, 1, 5], 3),
        ("sort=id&max_density=0.25", &[1, 2, 3, 4], 4),
        ("sort=id&min_density=0.25&max_density=0.25", &[1], 1),
        ("min_density=0.9", &[], 0),
        ("sort=id&token=TIDE", &[0, 3, 5], 3),
        ("sort=id&token=wat", &[1], 1),
        ("sort=id&token=%20my", &[0, 1, 5], 3),
        ("sort=id&token=my&max_density=0.3", &[1], 1),
        ("token=absent", &[], 0),
        ("token=", &[0, 5, 1, 3, 2, 4], 6),
        ("limit=2", &[0, 5], 6),
        ("limit=2&offset=2", &[1, 3], 6),
        ("limit=1000&offset=5", &[4], 6),
        ("offset=6", &[], 6),
        ("offset=18446744073709551615", &[], 6),
    ] {
        let list = client.json(&format!("/api/v1/saes/gpt2%2Fl6/latents?{query}")).await;
        assert_eq!(numbers(&list), (latents.to_vec(), total), "{query}");
    }
}

#[tokio::test]
async fn wrong_parameters_are_refused() {
    let (client, _folder) = serve_runs();
    for (query, words) in [
        ("sorted=max", &["sorted", "`sort`", "`order`", "`min_density`", "`alive`", "`limit`"][..]),
        ("sort=best", &["sort", "best", "`density`", "`max`", "`mean`", "`id`"]),
        ("order=up", &["order", "`asc`", "`desc`"]),
        ("alive=1", &["alive", "`true` or `false`"]),
        ("min_density=low", &["min_density", "float"]),
        ("max_density=NaN", &["max_density", "finite"]),
        ("offset=-1", &["offset", "invalid digit"]),
        ("limit=0", &["limit", "1 to 1000", "found 0"]),
        ("limit=1001", &["limit", "1 to 1000", "found 1001"]),
        ("limit=1&limit=2", &["duplicate", "limit"]),
    ] {
        client.get(&format!("/api/v1/saes/gpt2%2Fl6/latents?{query}")).await.refuses(
            400,
            "bad_request",
            words,
        );
    }
}
