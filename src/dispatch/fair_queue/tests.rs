use super::*;
use proptest::prelude::*;

const ROUTES: [Route; 4] = [("DELETE", "a"), ("DELETE", "b"), ("GET", "a"), ("GET", "b")];
const CONNECTIONS: [ConnectionKey; 2] = [ConnectionKey(1), ConnectionKey(2)];

/// Holds back one route for all connections, and one connection with all its routes.
struct Held(Option<Route>, Option<ConnectionKey>);

impl Admission for Held {
    fn admits_class(&self, class: &TrafficClass) -> bool {
        self.0 != Some(class.route)
    }

    fn admits_connection(&self, connection: ConnectionKey) -> bool {
        self.1 != Some(connection)
    }
}

fn priority(route: usize) -> Priority {
    match route {
        2 => Priority::Proof,
        3 => Priority::Observation,
        _ => Priority::Removal,
    }
}

/// Adds a work source with one position.
fn enqueue(fair: &mut FairQueue<u64>, ns: NamespaceId, route: usize, connection: usize, arrival: u64) -> Positions {
    let mut positions = Positions::default();
    let class = (ROUTES[route], CONNECTIONS[connection], 0);
    fair.update(arrival, &mut positions, true, [ns], class, |_| Some((priority(route), arrival)));
    positions
}

#[test]
fn another_namespace_is_served_within_two_calls() {
    let mut fair = FairQueue::default();
    let (crowd, other) = (fair.register(&"crowd".into()), fair.register(&"other".into()));
    for arrival in 0..10_000 {
        enqueue(&mut fair, crowd, (arrival % 2) as usize, 0, arrival);
    }
    enqueue(&mut fair, other, 0, 1, 10_000);
    let mut served = Vec::new();
    for _ in 0..2 {
        let (position, unit) = fair.next(&Held(None, None), &mut Vec::new()).unwrap();
        fair.call_started(position.class.priority, position.ns);
        served.push(unit);
    }
    assert!(served.contains(&10_000), "{served:?}");
}

/// Observations come last, but not after more than a stated number of other calls.
#[test]
fn an_observation_waits_for_everything_else_but_not_for_ever() {
    let mut fair = FairQueue::default();
    let (crowd, other) = (fair.register(&"crowd".into()), fair.register(&"other".into()));
    enqueue(&mut fair, other, 3, 0, 0);
    let mut next = |arrivals: std::ops::Range<u64>| {
        arrivals.for_each(|arrival| drop(enqueue(&mut fair, crowd, (arrival % 3) as usize, 0, arrival)));
        let (position, _) = fair.next(&Held(None, None), &mut Vec::new()).unwrap();
        fair.call_started(position.class.priority, position.ns);
        fair.call_finished(position.ns);
        position.class.priority
    };
    let first = next(1..200);
    let before =
        std::iter::repeat_with(|| next(0..0)).take_while(|priority| *priority != Priority::Observation).count();
    assert_eq!((first, before as u32 + 1), (Priority::Removal, MAX_WITHOUT_OBSERVATION));
}

/// A namespace whose calls hang leaves a share to the others.
#[test]
fn no_namespace_holds_all_calls_in_flight() {
    let mut fair = FairQueue::default();
    let (crowd, other) = (fair.register(&"crowd".into()), fair.register(&"other".into()));
    (0..200).for_each(|arrival| drop(enqueue(&mut fair, crowd, 0, 0, arrival)));
    let begin = |fair: &mut FairQueue<u64>| {
        let (position, _) = fair.next(&Held(None, None), &mut Vec::new())?;
        fair.call_started(position.class.priority, position.ns);
        Some(position.ns)
    };
    let alone = std::iter::from_fn(|| begin(&mut fair)).count();
    assert_eq!(alone, SHARED_IN_FLIGHT);
    (200..400).for_each(|arrival| drop(enqueue(&mut fair, other, 0, 0, arrival)));
    assert_eq!(std::iter::from_fn(|| begin(&mut fair)).count(), SHARED_IN_FLIGHT / 2);
    fair.call_finished(crowd);
    assert_eq!(begin(&mut fair), None, "it holds more than its share");
    fair.call_finished(other);
    assert_eq!(begin(&mut fair), Some(other));
}

proptest! {
    /// Positions come, go and are served at random, while routes and connections are held back. No position is lost,
    /// the order within a namespace and class is that of arrival, and the bounds hold (tests/mutants.sh: 10-no-turns).
    #[test]
    fn nobody_starves(
        steps in proptest::collection::vec((0u8..6, 0usize..6, 0usize..4, 0usize..2, 0usize..5, 0usize..4), 1..400),
    ) {
        let mut fair = FairQueue::default();
        let mut here: Vec<(usize, TrafficClass, NamespaceId, u64, Positions)> = Vec::new();
        let mut passed: HashMap<NamespaceId, usize> = HashMap::new();
        let (mut consecutive, mut without) = (0, 0);
        let numbers: Vec<NamespaceId> = (0..6).map(|n| fair.register(&n.to_string().into())).collect();
        for (arrival, (action, n, route, connection, held_route, held)) in steps.into_iter().enumerate() {
            let (ns, arrival) = (numbers[n], arrival as u64);
            match action {
                0 | 1 => {
                    let positions = enqueue(&mut fair, ns, route, connection, arrival);
                    let (priority, connection) = (priority(route), CONNECTIONS[connection]);
                    let class = TrafficClass { priority, route: ROUTES[route], connection };
                    here.push((n, class, ns, arrival, positions));
                }
                2 => if let Some(at) = here.iter().position(|(.., other, _, _)| *other == ns) {
                    let (_, class, _, unit, mut positions) = here.remove(at);
                    fair.update(unit, &mut positions, false, [], (class.route, class.connection, 0), |_| None);
                    // A namespace that comes back starts to wait again.
                    if here.iter().all(|(_, _, other, ..)| *other != ns) {
                        passed.remove(&ns);
                    }
                },
                _ => {
                    CONNECTIONS.iter().for_each(|connection| fair.set_paused(*connection, false));
                    let admission = Held(ROUTES.get(held_route).copied(), CONNECTIONS.get(held).copied());
                    let could = |class: &TrafficClass| {
                        admission.admits_class(class) && admission.admits_connection(class.connection)
                    };
                    let proof = here.iter().any(|(_, class, ..)| could(class) && class.priority == Priority::Proof);
                    let of = |priority| move |class: &TrafficClass| class.priority == priority;
                    let is_ready = |is: &dyn Fn(&TrafficClass) -> bool| {
                        here.iter().any(|(_, class, ..)| could(class) && is(class))
                    };
                    let observation = is_ready(&of(Priority::Observation));
                    let others = is_ready(&|class| class.priority != Priority::Observation);
                    let Some((position, unit)) = fair.next(&admission, &mut Vec::new()) else {
                        prop_assert!(!here.iter().any(|(_, class, ..)| could(class)));
                        continue;
                    };
                    fair.call_started(position.class.priority, position.ns);
                    let same = here.iter().filter(|(_, class, ns, ..)| (*class, *ns) == (position.class, position.ns));
                    prop_assert_eq!(same.map(|(.., unit, _)| *unit).min(), Some(unit), "in order");
                    let is_observation = position.class.priority == Priority::Observation;
                    prop_assert!(!is_observation || without >= MAX_WITHOUT_OBSERVATION || !others, "not in the way");
                    without = if observation && !is_observation { without + 1 } else { 0 };
                    prop_assert!(without <= MAX_WITHOUT_OBSERVATION);
                    let passes_proof = proof && position.class.priority == Priority::Removal;
                    consecutive = if passes_proof || is_observation { consecutive + u32::from(passes_proof) } else { 0 };
                    prop_assert!(consecutive <= MAX_CONSECUTIVE_REMOVALS);
                    // Counts how often a namespace that could have been served was passed over at the same priority.
                    for other in &numbers {
                        let waits = here.iter().any(|(_, class, ns, ..)| {
                            ns == other && could(class) && class.priority == position.class.priority
                        });
                        let passed = passed.entry(*other).or_default();
                        *passed = if waits && *other != position.ns { *passed + 1 } else { 0 };
                        prop_assert!(*passed < numbers.len(), "waited too long");
                    }
                    let at = here.iter().position(|(.., other, _)| *other == unit).unwrap();
                    let (_, class, ns, _, mut positions) = here.remove(at);
                    fair.update(unit, &mut positions, false, [], (class.route, class.connection, 0), |_| None);
                    fair.call_finished(ns);
                }
            }
            prop_assert_eq!(fair.check(), Ok(()));
        }
    }
}
