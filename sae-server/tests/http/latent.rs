//! The page of a latent.

use crate::{
    fixture::{build_index, serve_runs},
    support::Client,
};
use serde_json::{Value, json};

const LATENT: &str = "/api/v1/saes/gpt2%2Fl6/latents";

fn field<'a>(examples: &'a Value, name: &str) -> Vec<&'a Value> {
    examples.as_array().unwrap().iter().map(|example| &example[name]).collect()
}

#[tokio::test]
async fn panels_show_what_the_index_knows() {
    let (client, _folder) = serve_runs();
    let page = client.json(&format!("{LATENT}/0")).await;
    assert_eq!((&page["latent"], &page["previous"], &page["next"]), (&json!(0), &Value::Null, &json!(1)));

    let statistics = &page["statistics"];
    for (name, expected) in [
        ("firings", json!(7)),
        ("n_rows", json!(12)),
        ("density", json!(7.0 / 12.0)),
        ("mean", json!(4.0)),
        ("max", json!(7.0)),
        ("std", json!(2.0)),
        ("skewness", json!(0.0)),
        ("kurtosis", json!(1.75)),
        ("documents", json!(3)),
        ("decoder_norm", json!(1.0)),
        ("encoder_decoder_cosine", json!(1.0)),
        ("dead", json!(false)),
    ] {
        assert_eq!(statistics[name], expected, "{name}");
    }
    let (low, high) =
        (statistics["density_low"].as_f64().unwrap(), statistics["density_high"].as_f64().unwrap());
    assert!(low > 0.3 && low < 7.0 / 12.0 && high > 7.0 / 12.0 && high < 0.85, "{low} {high}");
    let quantiles = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0].into_iter();
    let quantiles = quantiles.zip([1.0, 1.0, 1.0, 2.0, 4.0, 6.0, 7.0, 7.0, 7.0]);
    let quantiles: Vec<_> = quantiles.map(|(p, value)| json!({"p": p, "value": value})).collect();
    assert_eq!(statistics["quantiles"], json!(quantiles));

    // Values are 1 to 7, so the i-th seventh of 50 bins ends in bin ceil(50·i/7) − 1.
    let mut counts = [0; 50];
    for value in 1..=7_usize {
        counts[(50 * value).div_ceil(7) - 1] += 1;
    }
    assert_eq!(page["histogram"], json!({"max": 7.0, "counts": counts.to_vec()}));
    assert_eq!(field(&page["top_tokens"], "token"), [" tide", ".", "High", " my", " high", "The"]);
    assert_eq!(
        page["groups"],
        json!([{"column": "category", "values": [
            {"value": "news", "rows": 8, "firings": 5, "rate": 0.625},
            {"value": "poem", "rows": 4, "firings": 2, "rate": 0.5}
        ]}])
    );
}

#[tokio::test]
async fn groups_of_examples_divide_the_ranks() {
    let (client, _folder) = serve_runs();
    let page = client.json(&format!("{LATENT}/0?per_group=3")).await;
    let groups = page["examples"].as_array().unwrap();
    let summary: Vec<_> = groups
        .iter()
        .map(|group| {
            ["id", "rank_from", "rank_to", "low", "high", "n"].map(|name| group[name].clone()).to_vec()
        })
        .collect();
    // Values by rank: 7, 6, 5, 4, 3, 2, 1.
    assert_eq!(
        json!(summary),
        json!([
            ["top", 0, 3, 5.0, 7.0, 3],
            ["quantile", 0, 1, 7.0, 7.0, 1],
            ["quantile", 1, 2, 6.0, 6.0, 1],
            ["quantile", 2, 4, 4.0, 5.0, 2],
            ["quantile", 4, 5, 3.0, 3.0, 1],
            ["quantile", 5, 7, 1.0, 2.0, 2],
            ["random", 0, 7, 1.0, 7.0, 7]
        ])
    );
    let titles: Vec<&Value> = groups.iter().map(|group| &group["title"]).collect();
    assert_eq!(titles[..3], ["Largest values", "Ranks 0–20 %", "Ranks 20–40 %"]);
    assert_eq!(field(&groups[0]["examples"], "row"), [11, 9, 7]);
    for group in &groups[1..] {
        let values: Vec<f64> =
            field(&group["examples"], "value").into_iter().map(|value| value.as_f64().unwrap()).collect();
        let n = group["n"].as_u64().unwrap().min(3) as usize;
        assert_eq!(values.len(), n);
        assert!(
            values.windows(2).all(|pair| pair[0] > pair[1]),
            "by value and without repetition: {values:?}"
        );
        let (low, high) = (group["low"].as_f64().unwrap(), group["high"].as_f64().unwrap());
        assert!(values.iter().all(|value| (low..=high).contains(value)));
    }
}

#[tokio::test]
async fn a_group_without_firings_is_left_out() {
    let (client, _folder) = serve_runs();
    let page = client.json(&format!("{LATENT}/3")).await;
    assert_eq!(field(&page["examples"], "id"), ["top", "quantile", "random"]);
    assert_eq!(page["examples"][1]["title"], "Ranks 80–100 %");

    let dead = client.json(&format!("{LATENT}/4")).await;
    assert_eq!(dead["examples"], json!([]));
    assert_eq!(dead["top_tokens"], json!([]));
    assert_eq!(dead["statistics"]["dead"], true);
}

#[tokio::test]
async fn contexts_stay_inside_their_document_and_carry_every_value() {
    let (client, _folder) = serve_runs();
    let page = client.json(&format!("{LATENT}/0?per_group=7&before=2&after=1")).await;
    let top = &page["examples"][0]["examples"];
    assert_eq!(
        top[1],
        json!({
            "row": 9, "value": 6.0, "doc_id": 30, "focus": 0, "tokens": ["High", " water"], "values": [6.0, 0.0],
            "first_pos": 0, "metadata": {"category": "news", "surprise": 4.5}
        }),
        "nothing of document 7 before it"
    );
    assert_eq!(
        top[2],
        json!({
            "row": 7, "value": 5.0, "doc_id": 7, "focus": 2, "tokens": ["O", " tide", " my", " dear"],
            "values": [0.0, 4.0, 5.0, 0.0], "first_pos": 0, "metadata": {"category": "poem", "surprise": 3.5}
        })
    );
    assert_eq!(top[5]["row"], 3);
    assert_eq!(top[5]["first_pos"], 1);
    assert_eq!(top[5]["tokens"], json!([" tide", " is", " high", "."]), "nothing of document 7 after it");

    let alone = client.json(&format!("{LATENT}/0?before=0&after=0")).await;
    assert_eq!(alone["examples"][0]["examples"][0]["tokens"], json!(["."]));
    let wide = client.json(&format!("{LATENT}/0?before=200&after=200")).await;
    assert_eq!(wide["examples"][0]["examples"][0]["tokens"], json!(["High", " water", "."]));
}

#[tokio::test]
async fn draws_are_the_same_every_time_and_other_with_another_seed() {
    let (client, folder) = serve_runs();
    let rows = async |client: &Client, query: &str| {
        let page = client.json(&format!("{LATENT}/0?{query}")).await;
        field(&page["examples"][6]["examples"], "row").into_iter().cloned().collect::<Vec<_>>()
    };
    let first = rows(&client, "per_group=3&seed=5").await;
    assert_eq!(first, rows(&client, "per_group=3&seed=5&before=1").await);
    assert_eq!(first, rows(&Client::of(folder.path()), "per_group=3&seed=5").await);
    let more = rows(&client, "per_group=5&seed=5").await;
    assert!(first.iter().all(|row| more.contains(row)), "{first:?} {more:?}");
    let mut different = 0;
    for seed in 6..16 {
        different += usize::from(rows(&client, &format!("per_group=3&seed={seed}")).await != first);
    }
    assert!(different >= 7, "{different} of 10 seeds draw others");
}

#[tokio::test]
async fn without_documents_and_tokens_a_context_is_the_row_alone() {
    let (client, folder) = serve_runs();
    build_index(&folder.path().join("trained"), &["doc_id", "token"]);
    let page = client.json("/api/v1/saes/trained/latents/3").await;
    let example = &page["examples"][0]["examples"][0];
    assert_eq!(
        *example,
        json!({
            "row": 1, "value": 0.5, "doc_id": null, "focus": 0, "tokens": ["[1]"], "values": [0.5], "first_pos": 1,
            "metadata": {"category": "news", "surprise": 0.5}
        })
    );
    assert_eq!(page["top_tokens"], json!([]));
}

#[tokio::test]
async fn neighbours_are_by_number() {
    let (client, _folder) = serve_runs();
    let last = client.json(&format!("{LATENT}/5")).await;
    assert_eq!((&last["previous"], &last["next"]), (&json!(4), &Value::Null));
}

#[tokio::test]
async fn wrong_latents_and_parameters_are_refused() {
    let (client, _folder) = serve_runs();
    for latent in ["6", "4294967296"] {
        let answer = client.get(&format!("{LATENT}/{latent}")).await;
        answer.refuses(404, "not_found", &[latent, "`gpt2/l6`", "0 to 5"]);
    }
    for latent in ["x", "-1", "1.5"] {
        client.get(&format!("{LATENT}/{latent}")).await.refuses(400, "bad_request", &["path", latent]);
    }
    for (query, words) in [
        ("around=3", &["around", "`before`", "`after`", "`per_group`", "`seed`"][..]),
        ("before=201", &["before", "0 to 200", "201"]),
        ("after=201", &["after", "0 to 200", "201"]),
        ("per_group=0", &["per_group", "1 to 100", "0"]),
        ("per_group=101", &["per_group", "1 to 100", "101"]),
        ("seed=a", &["seed"]),
    ] {
        client.get(&format!("{LATENT}/0?{query}")).await.refuses(400, "bad_request", words);
    }
}
