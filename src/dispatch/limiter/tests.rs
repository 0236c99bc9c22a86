use super::model::{Bucket, World, run};

const MINUTE: f64 = 1.0 / 60.0;

fn by_second(bucket: Bucket) -> Bucket {
    Bucket { by_second: true, ..bucket }
}

/// Each row: what it is, the world, how many seconds it takes at best.
fn rows() -> Vec<(String, World, f64)> {
    let mut rows = Vec::new();
    for (name, size, refill, calls) in [
        ("20, 200 a minute", 20, 200.0 * MINUTE, 1000),
        ("20, 20 a minute", 20, 20.0 * MINUTE, 300),
        ("50, 16 a second", 50, 16.0, 4000),
        ("50, 50 a second", 50, 50.0, 5000),
        ("16, 16 a second", 16, 16.0, 4000),
        ("100, 250 a second", 100, 250.0, 20000),
        ("250, 250 a second", 250, 250.0, 20000),
        ("100, 100 a second", 100, 100.0, 10000),
        ("10, 150 a minute", 10, 2.5, 1000),
        ("1, 1 a second", 1, 1.0, 300),
        ("2, 2 a second", 2, 2.0, 500),
        ("10, 10 a second", 10, 10.0, 2000),
        ("10, 2 a second", 10, 2.0, 500),
    ] {
        for ticks in [false, true] {
            if size < 4 || (ticks && refill > f64::from(size)) {
                continue;
            }
            let best = |refill: f64| (calls as f64 - f64::from(size)) / refill + 0.15;
            let bucket = if ticks { by_second(Bucket::new(size, refill)) } else { Bucket::new(size, refill) };
            let world = World::new(bucket.clone(), calls);
            let mut add = |variant: &str, world: World, best: f64| {
                rows.push((format!("{name} {}{variant}", if ticks { "on whole seconds " } else { "" }), world, best))
            };
            add("", world.clone(), best(refill));
            add("jitter", World { latency: (0.05, 0.4), ..world.clone() }, best(refill));
            add("404s", World { not_found: Some(3), ..world.clone() }, best(refill));
            add("reserve", World { reserve: 20.0, ..world.clone() }, best(refill));
            add("others", World { others: refill * 0.3, ..world.clone() }, best(refill * 0.7));
            add("others reserve", World { others: refill * 0.3, reserve: 20.0, ..world.clone() }, best(refill * 0.7));
            add("fast", World { latency: (0.001, 0.002), ..world.clone() }, best(refill));
            add("slow", World { latency: (1.0, 1.0), ..world.clone() }, best(refill));
            add(
                "global above",
                World {
                    buckets: vec![bucket.clone(), Bucket::new(size * 3, refill * 4.0)],
                    draws: [vec![0, 1], vec![0, 1]],
                    ..world.clone()
                },
                best(refill),
            );
            add(
                "global below",
                World {
                    buckets: vec![
                        bucket.clone(),
                        by_second(Bucket::new(size * 3, refill)),
                        Bucket::new(size * 2, refill * 1.5),
                    ],
                    draws: [vec![0, 2], vec![1, 2]],
                    ..world.clone()
                },
                (calls as f64 - f64::from(size) * 2.0) / 1.5 / refill,
            );
            add(
                "two of the same size",
                World { buckets: vec![bucket.clone(), bucket.clone()], draws: [vec![0], vec![1]], ..world.clone() },
                best(refill) / 2.0,
            );
            add(
                "two of the same size, unequal",
                World {
                    buckets: vec![bucket.clone(), bucket.clone()],
                    draws: [vec![0], vec![1]],
                    calls: [calls / 4, calls],
                    ..world.clone()
                },
                best(refill),
            );
            add(
                "shrinks",
                World { change: Some((best(refill) / 2.0, f64::from(size) / 2.0, refill / 2.0)), ..world.clone() },
                best(refill) * 1.5,
            );
            add(
                "slows",
                World { change: Some((best(refill) / 2.0, f64::from(size), refill / 2.0)), ..world.clone() },
                best(refill) * 1.5,
            );
            add(
                "grows",
                World { change: Some((best(refill) / 2.0, f64::from(size) * 4.0, refill * 4.0)), ..world.clone() },
                best(refill) * 0.5 + best(refill) / 8.0,
            );
            add(
                "quickens",
                World { change: Some((best(refill) / 2.0, f64::from(size), refill * 4.0)), ..world.clone() },
                best(refill) * 0.5 + best(refill) / 8.0,
            );
        }
    }
    rows
}

#[test]
fn table() {
    println!("{:50} {:>8} {:>6} {:>6} {:>6} {}", "case", "s/best", "429s", "calls", "others", "lowest");
    for (name, world, best) in rows() {
        let run = run(&world);
        let ratio = run.done.last().unwrap() / best;
        let permille = run.refused.len() as f64 * 1000.0 / run.done.len() as f64;
        if std::env::var("ALL").is_ok() || ratio > 1.05 || permille > 1.0 {
            let mut times = run.refused;
            times.truncate(6);
            println!(
                "{name:50} {ratio:8.3} {permille:6.1} {:6} {:6} {:6.1} {times:.2?}",
                run.done.len(),
                run.others_refused,
                run.lowest
            );
        }
    }
}

#[test]
fn hidden() {
    println!("{:60} {:>8} {:>8} {:>6}", "case", "thrput", "2nd half", "429s");
    for (size, refill) in
        [(10, 2.5), (2, 2.0), (50, 16.0), (50, 50.0), (250, 250.0), (1000, 50.0), (20, 200.0 * MINUTE)]
    {
        for (name, reported, own) in [
            ("silent, 429s without headers", (false, false), false),
            ("silent, 429s with headers", (false, true), false),
            ("above a reported one, 429s without headers", (false, false), true),
            ("above a reported one, 429s with headers", (false, true), true),
        ] {
            for latency in [(0.15, 0.15), (0.05, 0.4)] {
                let calls = (refill * 600.0) as usize;
                let hidden = Bucket { reported, ..Bucket::new(size, refill) };
                let mut world = World::new(hidden, calls);
                world.latency = latency;
                world.retry_after = Some(1);
                if own {
                    world.buckets.push(Bucket::new(200, 300.0));
                    world.draws = [vec![0, 1], vec![0, 1]];
                }
                let run = run(&world);
                let total = run.done.last().unwrap();
                let half = run.done[run.done.len() / 2];
                println!(
                    "{:60} {:8.3} {:8.3} {:6} of {} {:.1?}",
                    format!("{size} {refill:.1} {name} {latency:?}"),
                    run.done.len() as f64 / total / refill,
                    run.done.len() as f64 / 2.0 / (total - half) / refill,
                    run.refused.len(),
                    run.done.len(),
                    run.refused.iter().take(5).collect::<Vec<_>>()
                );
            }
        }
    }
    for latency in [0.001, 0.01, 0.15] {
        for in_flight in [16, 64] {
            let mut world = World::new(Bucket { reported: (false, false), ..Bucket::new(1_000_000, 1e6) }, 2000);
            world.latency = (latency, latency);
            world.in_flight = in_flight;
            let run = run(&world);
            println!(
                "{latency} {in_flight}: {:.3}, ideal {:.3}",
                run.done.last().unwrap(),
                2000.0 / in_flight as f64 * latency
            );
        }
    }
}

#[test]
fn sweep() {
    let mut worst = std::collections::BTreeMap::<String, (f64, f64, usize)>::new();
    for skew in 0..10 {
        for (name, mut world, best) in rows() {
            world.skew += f64::from(skew) * 0.1;
            world.seed = skew as u64;
            let run = run(&world);
            let ratio = run.done.last().unwrap() / best;
            let permille = run.refused.len() as f64 * 1000.0 / run.done.len() as f64;
            let w = worst.entry(name).or_default();
            *w = (w.0.max(ratio), w.1.max(permille), w.2.max(run.refused.len()));
        }
    }
    for (name, (ratio, permille, n)) in worst {
        if ratio > 1.05 || permille > 1.0 {
            println!("W {name:50} {ratio:8.3} {permille:6.1} {n}");
        }
    }
}
