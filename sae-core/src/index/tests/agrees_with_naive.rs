//! Every column and every query against the definitions, written as plainly as possible.

use super::{Dump, Noise, sae};
use crate::{
    Codes, Rule, Sae,
    index::{Index, IndexOptions, LatentStats, Meta, Postings, TopToken, postings::BatchSizes, windows},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

/// `(row, value)` of a latent in the order of rows.
fn firings(codes: &Codes, latent: u32) -> Vec<(u32, f32)> {
    let on_row = |row: usize| {
        let (latents, values) = codes.row(row);
        latents.iter().position(|&l| l == latent).map(|i| (row as u32, values[i]))
    };
    (0..codes.n_rows()).filter_map(on_row).collect()
}

fn check_latent(
    stats: &LatentStats,
    firings: &[(u32, f32)],
    sae: &Sae,
    dump: &Dump,
) -> Result<(), TestCaseError> {
    let (n, n_rows) = (firings.len() as f64, dump.n_rows() as f64);
    let mut values: Vec<f64> = firings.iter().map(|&(_, value)| f64::from(value)).collect();
    values.sort_by(f64::total_cmp);
    prop_assert_eq!(stats.firings, firings.len() as u64);
    prop_assert_eq!(stats.dead, firings.is_empty());
    prop_assert_eq!(stats.density, n / n_rows);
    // The ends of the interval are the rates that are just compatible with the density.
    for (end, outside) in
        [(stats.density_low, stats.density == 0.0), (stats.density_high, stats.density == 1.0)]
    {
        let distance = (stats.density - end).abs();
        let expected = if outside { 0.0 } else { 1.959964 * (end * (1.0 - end) / n_rows).sqrt() };
        prop_assert!(close(distance, expected));
    }
    prop_assert!(stats.density_low <= stats.density && stats.density <= stats.density_high);
    let central = |power: i32| values.iter().map(|value| (value - stats.mean).powi(power)).sum::<f64>() / n;
    if firings.is_empty() {
        prop_assert_eq!((stats.mean, stats.max, stats.std, stats.quantiles), (0.0, 0.0, 0.0, [0.0; 9]));
    } else {
        prop_assert!(close(stats.mean, values.iter().sum::<f64>() / n));
        prop_assert!(close(stats.std * stats.std, central(2)));
        prop_assert_eq!(f64::from(stats.max), values[values.len() - 1]);
        for (p, quantile) in [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0].iter().zip(stats.quantiles) {
            // The smallest value that is not below a fraction p of the values.
            let expected = values.iter().enumerate().find(|(i, _)| (*i + 1) as f64 >= p * n - 1e-9);
            prop_assert_eq!(expected.map(|(_, value)| *value), Some(f64::from(quantile)));
        }
    }
    if stats.std == 0.0 {
        prop_assert_eq!((stats.skewness, stats.kurtosis), (0.0, 0.0));
    } else {
        prop_assert!(close(stats.skewness, central(3) / stats.std.powi(3)));
        prop_assert!(close(stats.kurtosis, central(4) / stats.std.powi(4)));
    }
    prop_assert!(close(stats.mean_square, values.iter().map(|v| v * v).sum::<f64>() / n_rows));
    for (bin, &count) in stats.histogram.iter().enumerate() {
        let (low, high) =
            (f64::from(stats.max) * bin as f64 / 50.0, f64::from(stats.max) * (bin + 1) as f64 / 50.0);
        prop_assert_eq!(count as usize, values.iter().filter(|&&value| low < value && value <= high).count());
    }
    let latent = stats.latent as usize;
    let (encoder, decoder) =
        (&sae.w_enc[latent * sae.d_in..][..sae.d_in], &sae.w_dec[latent * sae.d_out..][..sae.d_out]);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let norms = (dot(encoder, encoder).sqrt(), dot(decoder, decoder).sqrt());
    prop_assert_eq!(stats.decoder_norm, norms.1 as f32);
    let none = norms.0 * norms.1 == 0.0 || sae.d_in != sae.d_out;
    let cosine = if none { 0.0 } else { dot(encoder, decoder) / (norms.0 * norms.1) };
    prop_assert!((f64::from(stats.encoder_decoder_cosine) - cosine).abs() < 1e-6);
    Ok(())
}

fn expected_top_tokens(firings: &[(u32, f32)], dump: &Dump) -> Vec<TopToken> {
    let mut sums: BTreeMap<&str, (u32, f64)> = BTreeMap::new();
    for &(row, value) in firings {
        if let Some(token) = &dump.tokens[row as usize] {
            let entry = sums.entry(token).or_default();
            *entry = (entry.0 + 1, entry.1 + f64::from(value));
        }
    }
    let mut tokens: Vec<_> = sums.into_iter().collect();
    // Stable: what is equal stays in the order of tokens.
    tokens.sort_by(|(_, a), (_, b)| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    let total: f64 = firings.iter().map(|&(_, value)| f64::from(value)).sum();
    let top = |(token, (firings, sum)): (&str, (u32, f64))| TopToken {
        token: token.to_owned(),
        firings,
        mean: (sum / f64::from(firings)) as f32,
        share: (sum / total) as f32,
    };
    tokens.into_iter().take(10).map(top).collect()
}

fn check_index(index: &Index, codes: &Codes, sae: &Sae, dump: &Dump) -> Result<(), TestCaseError> {
    let meta = index.meta();
    prop_assert_eq!(meta.n_rows, dump.n_rows() as u64);
    prop_assert_eq!(meta.n_firings, codes.nnz() as u64);
    prop_assert_eq!((meta.d_in, meta.d_sae), (sae.d_in, sae.d_sae));
    prop_assert!(close(meta.l0_mean, codes.nnz() as f64 / dump.n_rows() as f64));
    let has = |name: &str| dump.others.schema().index_of(name).is_ok();
    prop_assert_eq!(meta.token_column.is_some(), has("token"));
    prop_assert_eq!(meta.has_documents, has("doc_id"));

    for row in 0..dump.n_rows() {
        prop_assert_eq!(index.codes(row as u64), codes.row(row));
        let token = dump.tokens[row].as_deref().filter(|_| has("token"));
        prop_assert_eq!(index.token(row as u64), token);
    }
    let mut n_dead = 0;
    for latent in 0..sae.d_sae {
        let mut firings = firings(codes, latent as u32);
        let stats = index.latent(latent);
        prop_assert_eq!(stats.latent as usize, latent);
        check_latent(&stats, &firings, sae, dump)?;
        n_dead += u64::from(stats.dead);
        let rows: BTreeSet<u32> = firings.iter().map(|&(row, _)| row).collect();
        let n_rows = dump.n_rows() as u64;
        let value_on = |row: u64| {
            firings.iter().find(|firing| u64::from(firing.0) == row).map_or(0.0, |firing| firing.1)
        };
        let windows = [0..n_rows, n_rows / 3..n_rows, 0..0, n_rows / 2..n_rows / 2 + 1];
        let expected = windows.clone().map(|window| window.map(value_on).collect::<Vec<_>>());
        prop_assert_eq!(index.values_on(&windows, latent as u32), expected);
        let documents: BTreeSet<i64> = rows.iter().map(|&row| dump.doc_ids[row as usize]).collect();
        prop_assert_eq!(stats.documents as usize, if has("doc_id") { documents.len() } else { 0 });
        prop_assert_eq!(
            &stats.top_tokens,
            &if has("token") { expected_top_tokens(&firings, dump) } else { vec![] }
        );
        prop_assert_eq!(&index.top_tokens(latent), &stats.top_tokens);
        prop_assert_eq!(stats.groups.len(), meta.groups.len());
        prop_assert!(stats.groups.iter().zip(index.group_firings(latent)).all(|(a, b)| a == b));
        for (group, counts) in meta.groups.iter().zip(&stats.groups) {
            let mut expected = vec![0; group.values.len()];
            for &row in &rows {
                let metadata = index.metadata(row.into());
                let value =
                    &metadata.iter().find(|(name, _)| name == &group.column).expect("a metadata column").1;
                let value = match value {
                    serde_json::Value::Null => "(none)".to_owned(),
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                expected
                    [group.values.iter().position(|v| v.value == value).expect("a value of the group")] += 1;
            }
            prop_assert_eq!(&expected, counts);
        }
        firings.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let (rows, values): (Vec<u32>, Vec<f32>) = firings.into_iter().unzip();
        let postings = index.postings(latent);
        prop_assert_eq!((postings.rows, postings.values), (&rows[..], &values[..]));
        let whole =
            (index.firings()[latent], index.density()[latent], index.max()[latent], index.mean()[latent]);
        prop_assert_eq!(whole, (stats.firings, stats.density, stats.max, stats.mean));
    }
    prop_assert_eq!(meta.n_dead, n_dead);
    Ok(())
}

fn check_documents(index: &Index, dump: &Dump) -> Result<(), TestCaseError> {
    let mut row = 0;
    for (i, document) in index.documents().iter().enumerate() {
        prop_assert_eq!(document.first_row, row);
        for _ in 0..document.n_rows {
            prop_assert_eq!(index.document_of(row), Some(i));
            prop_assert_eq!(dump.doc_ids[row as usize], document.doc_id);
            prop_assert_eq!(index.pos(row), Some((row - document.first_row) as i64));
            let metadata = index.metadata(row);
            let constant = index.document_metadata(i);
            prop_assert!(constant.iter().all(|column| metadata.contains(column)));
            let names: Vec<&str> = constant.iter().map(|(name, _)| name.as_str()).collect();
            prop_assert!(names.starts_with(&["author", "year"]), "{:?}", names);
            prop_assert_eq!(&metadata[3], &("row".to_owned(), row.into()));
            row += 1;
        }
        prop_assert_eq!(index.find_document(document.doc_id), Some(i));
    }
    prop_assert_eq!(row, dump.n_rows() as u64);
    prop_assert_eq!(index.document_of(row), None);
    prop_assert_eq!(index.find_document(i64::MAX), None);
    Ok(())
}

fn naive_fvu(sae: &Sae, dump: &Dump) -> Option<f64> {
    let x = if sae.is_transcoder() { &dump.companion } else { &dump.activations };
    let (_, x_hat) = sae.reconstruct_plain(&dump.activations);
    let column = |i: usize| x.iter().skip(i).step_by(sae.d_out).map(|&x| f64::from(x));
    let variance = |i: usize| {
        let mean = column(i).sum::<f64>() / dump.n_rows() as f64;
        column(i).map(|x| (x - mean).powi(2)).sum::<f64>()
    };
    let total: f64 = (0..sae.d_out).map(variance).sum();
    let residual: f64 = x.iter().zip(x_hat).map(|(&x, y)| (f64::from(x) - f64::from(y)).powi(2)).sum();
    (total > 1e-12).then(|| residual / total)
}

fn same_bytes(one: &Path, other: &Path, name: &str) -> bool {
    fs_err::read(one.join(name)).unwrap() == fs_err::read(other.join(name)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_is_what_the_format_says(
        n_rows in 1usize..150,
        d_in in 1usize..6,
        d_sae in 1usize..40,
        seed: u32,
        columns in 0usize..4,
        step in prop_oneof![Just(1), 1usize..60],
        sizes in (1usize..50, 0u32..6, 1u64..60, 1usize..20),
        memory_budget in prop_oneof![Just(0usize), 1usize..2000],
    ) {
        let mut noise = Noise(seed.into());
        let sae = sae(&mut noise, d_in, d_sae);
        let mut dump = Dump::new(&mut noise, d_in, n_rows);
        match columns {
            0 => dump.keep_columns(&[]),
            1 => dump.keep_columns(&["token", "author", "noun"]),
            2 => dump.keep_columns(&["doc_id", "year"]),
            _ => {}
        }
        let sizes = BatchSizes { rows: sizes.0, latents: 1 << sizes.1, firings: sizes.2, batches: sizes.3 };
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let meta = dump.index(&one, &sae, IndexOptions::default(), sizes, n_rows).unwrap();
        let index = Index::open(&one).unwrap();
        // serde_json reads a number to its last digit but one; what was read is checked below.
        let read = Meta { l0_mean: meta.l0_mean, fvu: meta.fvu, ..index.meta().clone() };
        prop_assert_eq!(&read, &meta);

        let codes = sae.encode_plain(&dump.activations);
        check_index(&index, &codes, &sae, &dump)?;
        match (naive_fvu(&sae, &dump), index.meta().fvu) {
            (Some(expected), Some(found)) => prop_assert!(close(expected, found), "{expected} {found}"),
            (expected, found) => prop_assert_eq!(expected, found),
        }
        if columns == 3 {
            check_documents(&index, &dump)?;
            let groups: Vec<&str> = meta.groups.iter().map(|group| group.column.as_str()).collect();
            prop_assert!(groups.starts_with(&["author", "year", "noun"]) || n_rows > 64, "{:?}", groups);
            prop_assert_eq!(groups.contains(&"row"), n_rows <= 64);
        }

        // Neither the memory for postings nor the number of threads changes a byte.
        let options = IndexOptions { memory_budget, ..IndexOptions::default() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        pool.install(|| dump.index(&other, &sae, options, sizes, n_rows)).unwrap();
        for entry in fs_err::read_dir(&one).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            prop_assert!(same_bytes(&one, &other, &name), "{name} differs");
        }
        // The dump's batches change unused bits of `rows.arrow` at most.
        dump.index(&other, &sae, IndexOptions::default(), sizes, step).unwrap();
        for name in ["codes.arrow", "postings.arrow", "latents.arrow", "meta.json"] {
            prop_assert!(same_bytes(&one, &other, name), "{name} differs");
        }
        let index = Index::open(&other).unwrap();
        check_index(&index, &codes, &sae, &dump)?;
        if columns == 3 {
            check_documents(&index, &dump)?;
        }
    }
}

#[test]
fn codes_and_postings_tell_the_same_values() {
    let mut noise = Noise(4);
    let dump = Dump::new(&mut noise, 1, 20_000);
    // Fires always, on half of the rows, and on an eighth.
    let sae = Sae::new(Rule::Standard, vec![1.0; 3], vec![3.0, 0.0, -1.5], vec![1.0; 3], vec![0.0]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let sizes = BatchSizes { rows: 1000, ..BatchSizes::default() };
    dump.index(&path, &sae, IndexOptions::default(), sizes, 20_000).unwrap();
    let index = Index::open(&path).unwrap();
    let codes = sae.encode_plain(&dump.activations);
    let (mut from_codes, mut from_postings) = (0, 0);
    for latent in 0..3 {
        let firings = firings(&codes, latent);
        let value_on = |row: u64| {
            let found = firings.binary_search_by_key(&row, |&(row, _)| row.into());
            found.map_or(0.0, |i| firings[i].1)
        };
        for n_windows in [0, 1, 2, 3, 5, 20] {
            let windows: Vec<_> = (0..n_windows)
                .map(|_| {
                    let start = noise.below(20_000);
                    start..20_000.min(start + noise.below(1500))
                })
                .collect();
            let expected: Vec<Vec<f32>> =
                windows.iter().map(|window| window.clone().map(value_on).collect()).collect();
            assert_eq!(index.values_on(&windows, latent), expected);
            let taken = windows::are_in_postings(firings.len(), windows.len());
            *(if taken { &mut from_postings } else { &mut from_codes }) += 1;
        }
    }
    assert!(from_codes >= 4 && from_postings >= 4, "{from_codes} {from_postings}");
}

#[test]
fn text_in_top_tokens_finds_latents() {
    let mut noise = Noise(4);
    let sae = sae(&mut noise, 3, 30);
    let dump = Dump::new(&mut noise, 3, 100);
    let dir = tempfile::tempdir().unwrap();
    dump.index(&dir.path().join("index"), &sae, IndexOptions::default(), BatchSizes::default(), 100).unwrap();
    let index = Index::open(&dir.path().join("index")).unwrap();
    let expected: Vec<u32> = (0..30)
        .filter(|&latent| index.top_tokens(latent as usize).iter().any(|top| top.token == " Rust"))
        .collect();
    assert!(!expected.is_empty() && expected.len() < 30);
    assert_eq!(index.latents_with_token("RUS"), expected);
    assert!(index.latents_with_token("no such token").is_empty());
    assert_eq!(index.token(100), None);
    assert_eq!(index.pos(100), None);
    assert_eq!(index.metadata(100), []);
}

#[test]
fn lists_are_mapped_and_not_copied() {
    let mut noise = Noise(4);
    let sae = sae(&mut noise, 3, 30);
    let dump = Dump::new(&mut noise, 3, 100);
    let dir = tempfile::tempdir().unwrap();
    dump.index(&dir.path().join("index"), &sae, IndexOptions::default(), BatchSizes::default(), 100).unwrap();
    let index = Index::open(&dir.path().join("index")).unwrap();
    let maps = fs_err::read_to_string("/proc/self/maps").unwrap_or_default();
    let is_in = |address: usize, file: &str| {
        maps.lines().filter(|line| line.ends_with(file)).any(|line| {
            let mut ends = line.split([' ', '-']).map(|end| usize::from_str_radix(end, 16));
            let (start, end) = (ends.next().unwrap().unwrap(), ends.next().unwrap().unwrap());
            (start..end).contains(&address)
        })
    };
    let latent = (0..30).find(|&latent| index.firings()[latent] > 0).unwrap();
    let Postings { rows, values } = index.postings(latent);
    let (latents, on_row) = index.codes(u64::from(rows[0]));
    if !maps.is_empty() {
        let addresses = [rows.as_ptr().addr(), values.as_ptr().addr()];
        assert!(addresses.iter().all(|&address| is_in(address, "index/postings.arrow")));
        let addresses = [latents.as_ptr().addr(), on_row.as_ptr().addr()];
        assert!(addresses.iter().all(|&address| is_in(address, "index/codes.arrow")));
    }
}
