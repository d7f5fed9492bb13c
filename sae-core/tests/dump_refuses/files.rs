//! Files that are not there, not whole, or not alike.

use super::*;

#[test]
fn a_path_without_a_dump() {
    let dir = Dir::new();
    assert_eq!(
        dir.refusal("none"),
        "DIR/none: expected a Parquet file, a directory of them or a glob, found nothing there; check the path"
    );
    assert_eq!(
        dir.refusal(""),
        "DIR/: expected Parquet files, found a directory without any; \
         give a file, a directory of `*.parquet` files or a glob"
    );
    assert_eq!(
        dir.refusal("*.parquet"),
        "DIR/*.parquet: expected Parquet files, found no file that matches; \
         give a file, a directory of `*.parquet` files or a glob"
    );
    assert!(
        dir.refusal("***").starts_with("DIR/***: expected a glob such as `dir/*.parquet`, found one that is")
    );
}

#[test]
fn a_file_that_is_not_a_whole_parquet_file() {
    let dir = Dir::new();
    fs_err::write(dir.path("empty.parquet"), "").unwrap();
    assert_eq!(
        dir.refusal("empty.parquet"),
        "DIR/empty.parquet: expected a Parquet file, found an empty file; convert it to Parquet first"
    );
    fs_err::write(dir.path("csv.parquet"), "a,b\n1,2\n").unwrap();
    assert_eq!(
        dir.refusal("csv.parquet"),
        "DIR/csv.parquet: expected a Parquet file, found a file that begins with the bytes [61, 2c, 62, 0a]; \
         convert it to Parquet first"
    );
    dir.write("whole.parquet", vec![("activation", lists(&[&[1.0], &[2.0]]))]);
    let whole = fs_err::read(dir.path("whole.parquet")).unwrap();
    for length in [4, 11, whole.len() / 2, whole.len() - 1] {
        fs_err::write(dir.path("cut.parquet"), &whole[..length]).unwrap();
        assert_eq!(
            dir.refusal("cut.parquet"),
            "DIR/cut.parquet: expected Parquet's footer at the end, found none: the file was cut short; \
             write or copy it again"
        );
    }
    let mut hole = whole[..whole.len() / 4].to_vec();
    hole.extend(&whole[whole.len() - 8..]);
    fs_err::write(dir.path("hole.parquet"), hole).unwrap();
    assert!(dir.refusal("hole.parquet").starts_with("DIR/hole.parquet: the footer cannot be read ("));
}

#[test]
fn pages_that_cannot_be_decoded() {
    let dir = Dir::new();
    let rows: Vec<Vec<f32>> = (0..4).map(|i| (0..64).map(|j| (i * j % 7) as f32).collect()).collect();
    let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    for activation in [lists(&rows), fixed(&rows)] {
        let path = dir.path("a.parquet");
        write(&path, vec![("activation", activation)], Compression::ZSTD(Default::default()));
        let file = SerializedFileReader::new(fs_err::File::open(&path).unwrap().into_file()).unwrap();
        let (start, length) = file.metadata().row_group(1).column(0).byte_range();
        let mut bytes = fs_err::read(&path).unwrap();
        for byte in &mut bytes[start as usize..][..length as usize] {
            *byte ^= 0x55;
        }
        fs_err::write(&path, bytes).unwrap();
        let refusal = dir.refusal("a.parquet");
        assert!(refusal.starts_with("DIR/a.parquet: row group 1 cannot be decoded ("), "{refusal}");
        assert!(refusal.ends_with("); the file is corrupt, write or copy it again"), "{refusal}");
        // What stands before it is given out first, though both are decoded at once.
        let dump = Dump::open(path.to_str().unwrap(), &DumpOptions::default()).unwrap();
        assert_eq!(dump.read(Columns::All).next().unwrap().unwrap().activations, rows[..2].concat());
    }
}

/// Whatever byte is flipped, the answer is rows or an error.
#[test]
fn no_flipped_byte_panics() {
    // Panics inside the decoder are caught by the reader; a backtrace of each would take seconds.
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|location| location.file().contains("/parquet-")) {
            print(panic);
        }
    }));
    let dir = Dir::new();
    let path = dir.path("a.parquet");
    let tokens = DictionaryArray::<Int32Type>::from_iter(["a", "b", "a"]);
    for compression in [Compression::UNCOMPRESSED, Compression::ZSTD(Default::default())] {
        let columns = vec![
            ("activation", fixed(&[&[1.0, 2.0], &[3.0, 4.0], &[5.0, 6.0]])),
            ("token", Arc::new(tokens.clone()) as _),
        ];
        write(&path, columns, compression);
        let sound = fs_err::read(&path).unwrap();
        for i in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[i] ^= [0x01, 0x80, 0xff][i % 3];
            fs_err::write(&path, bytes).unwrap();
            if let Ok(dump) = Dump::open(path.to_str().unwrap(), &DumpOptions::default()) {
                dump.read(Columns::All).take(100).for_each(drop);
            }
        }
    }
}

#[test]
fn a_dump_without_rows() {
    let dir = Dir::new();
    let message = "DIR/a.parquet: expected rows, found a dump of none (or none with numbers in `activation`); \
                   check how it was written";
    for activation in [lists(&[&[], &[]]), lists(&[]), fixed(&[&[1.0]]).slice(0, 0)] {
        dir.write("a.parquet", vec![("activation", activation)]);
        assert_eq!(dir.refusal("a.parquet"), message);
    }
}

#[test]
fn files_that_differ() {
    let dir = Dir::new();
    for (first, other) in [
        (lists(&[&[1.0, 2.0]]), lists(&[&[1.0], &[2.0]])),
        (lists(&[&[1.0, 2.0]]), fixed(&[&[1.0]])),
        (fixed(&[&[1.0, 2.0]]), fixed(&[&[1.0]])),
    ] {
        dir.write("0.parquet", vec![("activation", first)]);
        dir.write("1.parquet", vec![("activation", other)]);
        assert_eq!(
            dir.refusal(""),
            "DIR/1.parquet: expected vectors of width 2 in `activation` as in DIR/0.parquet, found width 1; \
             a dump holds the activations of one place in one model"
        );
    }
    let x = || ("activation", lists(&[&[1.0]]));
    let differs = |first: Vec<_>, other: Vec<_>| {
        dir.write("0.parquet", first);
        dir.write("1.parquet", other);
        let refusal = dir.refusal("");
        let refusal =
            refusal.strip_prefix("DIR/1.parquet: expected the columns of DIR/0.parquet, but ").unwrap();
        refusal.strip_suffix("; write all files of a dump alike").unwrap().to_owned()
    };
    let long: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    assert_eq!(
        differs(vec![x(), ("pos", ints(&[1]))], vec![x(), ("pos", long)]),
        "`pos` is Int64, there Int32"
    );
    assert_eq!(differs(vec![x(), ("pos", ints(&[1]))], vec![x(), ("Pos", ints(&[1]))]), "there is no `pos`");
    assert_eq!(differs(vec![x()], vec![x(), ("pos", ints(&[1]))]), "`pos` is one more");
    let double = ListArray::from_iter_primitive::<Float64Type, _, _>([Some(vec![Some(1.0)])]);
    assert_eq!(
        differs(vec![x()], vec![("activation", Arc::new(double))]),
        "`activation` is List(Float64), there List(Float32)"
    );
}
