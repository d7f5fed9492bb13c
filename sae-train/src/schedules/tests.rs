use super::*;

fn rates(keys: &str, steps: u64, at: &[u64]) -> Vec<f64> {
    let table: toml_edit::DocumentMut = keys.parse().unwrap();
    let lr = LearningRate { peak: 2.0, steps, schedule: build(&table).unwrap() };
    at.iter().map(|&step| lr.at(step)).collect()
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }
}

#[test]
fn linear_rises_stays_and_falls() {
    let found = rates("name = 'linear'\nwarmup = 0.1\ndecay = 0.2", 100, &[1, 5, 10, 50, 80, 81, 91, 100]);
    assert_eq!(found, [0.2, 1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 0.1]);
    assert_eq!(rates("name = 'linear'\nwarmup = 0.05\ndecay = 0", 3, &[1, 2, 3]), [2.0; 3]);
}

#[test]
fn constant_rises_and_stays() {
    assert_eq!(rates("name = 'constant'\nwarmup = 0.5", 8, &[1, 2, 4, 5, 8]), [0.5, 1.0, 2.0, 2.0, 2.0]);
}

#[test]
fn cosine_falls_to_its_final_fraction() {
    let keys = "name = 'cosine'\nwarmup = 0.2\nfinal_fraction = 0.1";
    // 4 steps up, 16 down: at the middle of those the mean of both ends.
    let last = 0.2 + 1.8 * 0.5 * (1.0 - (std::f64::consts::PI / 16.0).cos());
    assert_close(&rates(keys, 20, &[1, 2, 4, 5, 13, 20]), &[0.5, 1.0, 2.0, 2.0, 1.1, last]);
    // A third and two thirds of the way to 0.
    let keys = "name = 'cosine'\nwarmup = 0\nfinal_fraction = 0";
    assert_close(&rates(keys, 3, &[1, 2, 3]), &[2.0, 1.5, 0.5]);
}

#[test]
fn exponential_falls_by_the_same_factor() {
    let keys = "name = 'exponential'\nwarmup = 0.2\nfinal_fraction = 0.0625";
    assert_close(&rates(keys, 5, &[1, 2, 3, 4, 5]), &[2.0, 2.0, 1.0, 0.5, 0.25]);
}

#[test]
fn inverse_sqrt_halves_in_four_times_the_steps() {
    let keys = "name = 'inverse_sqrt'\nwarmup = 0.04";
    assert_close(&rates(keys, 100, &[1, 4, 16, 64, 100]), &[0.5, 2.0, 1.0, 0.5, 0.4]);
    assert_close(&rates("name = 'inverse_sqrt'\nwarmup = 0", 100, &[1, 4, 100]), &[2.0, 1.0, 0.2]);
}

#[test]
fn warmup_stable_decay_falls_fast_at_first() {
    let keys = "name = 'warmup_stable_decay'\nwarmup = 0.1\ndecay = 0.25";
    let last = 2.0 * (1.0 - (24f64 / 25.0).sqrt());
    // Of 25 steps 0, 1, 4, 9, 16 and 24 are done.
    let found = rates(keys, 100, &[5, 50, 76, 77, 80, 85, 92, 100]);
    assert_close(&found, &[1.0, 2.0, 2.0, 1.6, 1.2, 0.8, 0.4, last]);
}

#[test]
fn every_schedule_stays_between_0_and_its_peak() {
    for name in names() {
        for (steps, warmup) in [(1, 0.05), (2, 0.9), (7, 0.5), (100, 0.0), (100, 0.3)] {
            let keys = format!("name = '{name}'\n{}", defaults(name).unwrap());
            let mut table: toml_edit::DocumentMut = keys.parse().unwrap();
            table["warmup"] = toml_edit::value(warmup);
            if table.contains_key("decay") {
                table["decay"] = toml_edit::value(1.0 - warmup - 0.05);
            }
            let rates = rates(&table.to_string(), steps, &(1..=steps).collect::<Vec<_>>());
            assert!(rates.iter().all(|&rate| rate > 0.0 && rate <= 2.0), "{name}: {rates:?}");
        }
    }
}

#[test]
fn errors_say_what_would_be_right() {
    let message =
        |keys: &str| build(&keys.parse::<toml_edit::DocumentMut>().unwrap()).unwrap_err().to_string();
    assert!(message("name = 'cosin'").contains("did you mean cosine?"));
    assert!(message("name = 'linear'\nwarmup = 1\ndecay = 0").contains("schedule.warmup must be at least 0"));
    assert!(
        message("name = 'linear'\nwarmup = 0.5\ndecay = 0.6").contains("schedule.warmup + schedule.decay")
    );
    assert!(message("name = 'cosine'\nwarmup = 0\nfinal_fraction = 1").contains("schedule.final_fraction"));
    assert!(message("name = 'exponential'\nwarmup = 0\nfinal_fraction = 0").contains("above 0"));
}
