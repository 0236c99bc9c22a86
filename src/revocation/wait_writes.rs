//! How many statuses that only say what an object waits for may be written in a second. Verdicts never ask here.

use std::time::{Duration, Instant};

/// Of 50 writes a second one is left out, so that no second by anybody's clock has more.
const INTERVAL: Duration = Duration::from_micros(20_408);

/// What a wait says, the more urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitClass {
    /// That Auth0 accepted something, or named a time: a crash would forget it.
    Accepted,
    /// That somebody stopped it, or has to mend something.
    Stopped,
    /// That it waits.
    Waiting,
}

/// A time at which to ask again. Whoever holds it hands it in with the next question, or gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// For what.
    pub class: WaitClass,
    /// When.
    pub at: Instant,
}

/// The budget: one write in each interval. Who is refused gets a slot behind all who were refused before it, unless its
/// class is more urgent. It remembers seven times and nobody's name: the slots are kept by those who hold them.
#[derive(Debug, Default)]
pub struct WaitWrites {
    /// Before this time nothing more is granted.
    free_at: Option<Instant>,
    /// The last slot of each class.
    booked_until: [Option<Instant>; 3],
    /// The same of those who came when it was their turn, and found somebody else just served.
    overdue_until: [Option<Instant>; 3],
}

impl WaitWrites {
    /// Whether to write now; if not, when to ask again. `held` is the slot of this class that the asker was given before.
    pub fn ask(&mut self, class: WaitClass, held: Option<Slot>, now: Instant) -> Result<(), Slot> {
        let (more_urgent, all) = (class as usize, class as usize + 1);
        // Whoever has the last slot of a line has not come yet if it is now.
        let is_over = |line: Option<Instant>| line.is_none_or(|end| end < now);
        let its_turn = match held {
            Some(held) => held.at <= now && is_over(self.line(more_urgent)),
            None => is_over(self.line(all)),
        };
        if its_turn && self.free_at.is_none_or(|at| at <= now) {
            self.free_at = Some(now + INTERVAL);
            return Ok(());
        }
        if let Some(held) = held.filter(|held| held.at > now) {
            return Err(held);
        }
        let (line, end) = if its_turn {
            let line = &mut self.overdue_until[class as usize];
            (*line, line)
        } else {
            (self.line(all), &mut self.booked_until[class as usize])
        };
        let behind = line.map(|line| line + INTERVAL);
        let at = [self.free_at, behind].into_iter().flatten().fold(now, Instant::max);
        *end = Some(at);
        Err(Slot { class, at })
    }

    /// The holder needs its slot no more: it had something better to write, or is gone.
    pub fn give_back(&mut self, held: Slot) {
        if let Some(end) = &mut self.booked_until[held.class as usize] {
            *end = end.checked_sub(INTERVAL).unwrap_or(*end);
        }
    }

    /// The end of the lines of this many classes, the most urgent first.
    fn line(&self, classes: usize) -> Option<Instant> {
        self.booked_until[..classes].iter().chain(&self.overdue_until[..classes]).copied().flatten().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everybody asks until granted, each time when told to; `ghosts` never come back. Times of the grants, by class.
    fn run(askers: &[(WaitClass, Duration)], ghosts: usize) -> Vec<(Duration, WaitClass)> {
        let (mut budget, start) = (WaitWrites::default(), Instant::now());
        let mut waiting: Vec<(Duration, usize, Option<Slot>)> =
            askers.iter().enumerate().map(|(number, (_, at))| (*at, number, None)).collect();
        let mut granted = Vec::new();
        while let Some(first) = (0..waiting.len()).min_by_key(|i| (waiting[*i].0, waiting[*i].1)) {
            let (at, number, slot) = waiting.swap_remove(first);
            let class = askers[number].0;
            match budget.ask(class, slot, start + at) {
                Ok(()) => granted.push((at, class)),
                Err(slot) if number < ghosts => budget.give_back(slot),
                Err(slot) => waiting.push((slot.at - start, number, Some(slot))),
            }
        }
        granted
    }

    fn most_in_a_second(granted: &[(Duration, WaitClass)]) -> usize {
        let within = |from: Duration| {
            let second = from..=from + Duration::from_secs(1);
            granted.iter().filter(|(at, _)| second.contains(at)).count()
        };
        granted.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
    }

    #[test]
    fn one_alone_waits_for_nothing() {
        assert_eq!(run(&[(WaitClass::Waiting, Duration::ZERO)], 0), [(Duration::ZERO, WaitClass::Waiting)]);
    }

    #[test]
    fn a_crowd_is_spread_and_nobody_is_left_out() {
        let crowd = vec![(WaitClass::Waiting, Duration::ZERO); 1000];
        let granted = run(&crowd, 0);
        assert_eq!(granted.len(), 1000);
        assert!(most_in_a_second(&granted) <= 50, "{}", most_in_a_second(&granted));
        assert!(granted[999].0 < Duration::from_secs(22), "{:?}", granted[999].0);
    }

    #[test]
    fn the_more_urgent_go_first() {
        let mut askers = vec![(WaitClass::Waiting, Duration::ZERO); 500];
        askers.extend(vec![(WaitClass::Stopped, Duration::from_millis(100)); 100]);
        askers.extend(vec![(WaitClass::Accepted, Duration::from_millis(200)); 100]);
        let granted = run(&askers, 0);
        let last = |class| granted.iter().filter(|(_, of)| *of == class).map(|(at, _)| *at).max().unwrap();
        assert_eq!(granted.len(), 700);
        assert!(most_in_a_second(&granted) <= 50);
        assert!(last(WaitClass::Accepted) < Duration::from_secs(5), "{:?}", last(WaitClass::Accepted));
        assert!(last(WaitClass::Stopped) < Duration::from_secs(9), "{:?}", last(WaitClass::Stopped));
    }

    #[test]
    fn slots_given_back_hold_nobody_up() {
        let mut askers = vec![(WaitClass::Accepted, Duration::ZERO); 2000];
        askers.push((WaitClass::Accepted, Duration::from_secs(1)));
        let granted = run(&askers, 2000);
        assert!(granted.last().unwrap().0 < Duration::from_millis(1100), "{granted:?}");
    }
}
