//! What lies beside the rows: `dump.json` and the vocabulary; and what the writer refuses.

use super::*;

#[test]
fn a_dump_json_that_is_malformed_newer_or_wrong() {
    let dir = Dir::new();
    dir.write("0.parquet", vec![("activation", lists(&[&[1.0], &[2.0]]))]);
    let malformed = "DIR/dump.json: expected a JSON object as in docs/dump.md, found ";
    for json in ["{", "[1]", r#"{"n_rows": "many"}"#, r#"{"model_name": 3}"#] {
        dir.info(json);
        assert!(dir.refusal("").starts_with(malformed), "{json}: {}", dir.refusal(""));
    }
    dir.info(r#"{"format_version": 2, "shards": "elsewhere"}"#);
    assert_eq!(
        dir.refusal(""),
        "DIR/dump.json: expected format_version 1 or lower, found 2; use a newer sae"
    );
    let stale = "; a file is missing or foreign, or dump.json is stale";
    for (json, message) in [
        (r#"{"n_rows": 3}"#, "says n_rows = 3, but the files say 2"),
        (r#"{"d_in": 5}"#, "says d_in = 5, but the files say 1"),
        (
            r#"{"shards": [{"file": "0.parquet", "rows": 1}]}"#,
            "says rows of 0.parquet = 1, but the files say 2",
        ),
    ] {
        dir.info(json);
        assert_eq!(dir.refusal(""), format!("DIR/dump.json: {message}{stale}"));
    }
    // A file of a larger dump is a dump of its own, and unknown keys are no mistake.
    dir.info(r#"{"n_rows": 3, "model_name": "m", "vocab": null, "settings": {"layer": 3}}"#);
    let dump = Dump::open(dir.path("0.parquet").to_str().unwrap(), &DumpOptions::default()).unwrap();
    assert_eq!(dump.info().model_name.as_deref(), Some("m"));
    assert_eq!(dump.info().more["settings"]["layer"], 3);
}

#[test]
fn a_vocabulary_that_is_malformed_or_too_small() {
    let dir = Dir::new();
    dir.write("0.parquet", vec![("activation", lists(&[&[1.0], &[2.0]])), ("token_id", ints(&[0, 7]))]);
    let vocab = |name: &str, text: &[u8]| {
        fs_err::write(dir.path("v.txt"), "").unwrap();
        fs_err::write(dir.path(name), text).unwrap();
        dir.info(&format!(r#"{{"vocab": "{name}"}}"#));
        dir.refusal("")
    };
    assert_eq!(
        vocab("v.txt", b"a\nb\n"),
        "DIR/0.parquet: row group 0, row 1: token_id 7 is not in DIR/v.txt (2 entries); \
         mend the vocabulary file or `vocab` in dump.json"
    );
    assert!(
        vocab("v.json", br#"{"a": 0, "b": 9}"#)
            .contains("row 1: token_id 7 is not in DIR/v.json (10 entries)")
    );
    let bad = |name: &str, text: &[u8]| {
        let refusal = vocab(name, text);
        let (expected, rest) = refusal.split_once("), found ").unwrap();
        assert!(expected.starts_with("DIR/v."), "{refusal}");
        rest.split_once("; mend the file or `vocab` in dump.json").unwrap().0.to_owned()
    };
    assert!(bad("v.txt", b"\xff").starts_with("invalid utf-8"));
    assert!(bad("v.json", b"[").starts_with("EOF while parsing"));
    assert_eq!(bad("v.json", b"3"), "3");
    assert_eq!(bad("v.json", br#"["a", 1]"#), "the entry 1");
    assert_eq!(bad("v.json", br#"{"a": -1}"#), "the id -1 for `a`");
    assert_eq!(bad("v.json", br#"{"a": 1, "b": 1}"#), "the id 1 twice, once for `a`");
    dir.info(r#"{"vocab": "../v.txt"}"#);
    assert!(
        dir.refusal("")
            .contains("expected a vocabulary (the name of a file beside dump.json), found `../v.txt`")
    );
    dir.info(r#"{"vocab": "absent.txt"}"#);
    assert!(dir.refusal("").contains("DIR/absent.txt"));
}

#[test]
fn what_cannot_be_written() {
    let dir = Dir::new();
    let create = |name: &str, d_in, dtype| {
        let options = DumpWriterOptions { dtype, ..Default::default() };
        DumpWriter::create(&dir.path(name), d_in, options, DumpInfo::default())
    };
    fs_err::create_dir(dir.path("there")).unwrap();
    assert_eq!(
        dir.message(create("there", 2, Dtype::F16)),
        "DIR/there: expected to create this directory, found something there; remove it or choose another name"
    );
    assert_eq!(
        dir.message(create("new", 0, Dtype::F16)),
        "DIR/new: expected a width from 1 to 2147483647, found 0"
    );
    let writer = || create("new", 2, Dtype::F16).unwrap();
    let message =
        |activations: &[f32], others: Option<&RecordBatch>| dir.message(writer().write(activations, others));
    assert_eq!(message(&[1.0], None), "DIR/new: expected rows of 2 values, found 1 values");
    assert_eq!(
        message(&[1.0, 2.0, 3.0, f32::NAN], None),
        "DIR/new: expected finite numbers, found NaN as value 1 of row 1 of a batch"
    );
    assert_eq!(
        message(&[1.0, 1e5], None),
        "DIR/new: expected numbers within the range of f16 (up to 65504; f32 holds more), \
         found 100000 as value 1 of row 0 of a batch"
    );
    let others = |name: &str| RecordBatch::try_from_iter([(name, ints(&[1]))]).unwrap();
    assert_eq!(
        message(&[1.0, 2.0, 3.0, 4.0], Some(&others("pos"))),
        "DIR/new: expected 2 rows in the other columns, found 1"
    );
    assert_eq!(
        message(&[1.0, 2.0], Some(&others("activation"))),
        "DIR/new: expected no `activation` among the other columns, found one"
    );
    let mut changing = writer();
    changing.write(&[1.0, 2.0], Some(&others("pos"))).unwrap();
    let refusal = dir.message(changing.write(&[1.0, 2.0], Some(&others("doc_id"))));
    assert!(refusal.starts_with("DIR/new: expected the columns of the first rows, "), "{refusal}");
    drop(changing);
    assert_eq!(dir.message(writer().finish()), "DIR/new: expected rows to write, found none");
    let mut late = writer();
    late.write(&[1.0, 2.0], None).unwrap();
    fs_err::create_dir(dir.path("new")).unwrap();
    assert!(matches!(late.finish(), Err(Error::Dump(DumpError::Exists { .. }))));
    let left: Vec<_> =
        fs_err::read_dir(dir.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "what was not finished is gone: {left:?}");
}
