//! The rate limiter of statuses that only say what an object waits for. Verdicts are never limited.

use std::time::{Duration, Instant};

/// The time between two writes. It is that of 49 writes a second, so that no second by any clock has more than 50.
const INTERVAL: Duration = Duration::from_micros(20_408);

/// What a wait says. More urgent classes come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitClass {
    /// Auth0 accepted something, or named a time. A restart would forget it.
    Accepted,
    /// Somebody stopped the object, or has to act.
    Stopped,
    /// Any other wait.
    Waiting,
}

/// A place in the schedule. Its holder hands it in with the next [`WaitWrites::acquire`], or gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The class that it was booked for.
    pub class: WaitClass,
    /// When to try again.
    pub at: Instant,
}

/// The limiter: one write in each [`INTERVAL`]. A caller that is refused gets a slot behind all that were refused
/// before, except those of less urgent classes. The limiter keeps no list of the callers, only the end of each class's
/// schedule: the callers keep their slots.
#[derive(Debug, Default)]
pub struct WaitWrites {
    /// Nothing is granted before this time.
    free_at: Option<Instant>,
    /// The last slot that was booked, by class.
    booked_until: [Option<Instant>; 3],
    /// The same for callers whose turn it was, but who found that another write had just been granted.
    overdue_until: [Option<Instant>; 3],
}

impl WaitWrites {
    /// Whether to write now; if not, the slot at which to try again. `held` is the slot of the same class that the
    /// caller got before, if any.
    pub fn acquire(&mut self, class: WaitClass, held: Option<Slot>, now: Instant) -> Result<(), Slot> {
        let (more_urgent, all) = (class as usize, class as usize + 1);
        // A slot that ends right now may still be used by its holder.
        let is_over = |end: Option<Instant>| end.is_none_or(|end| end < now);
        let its_turn = match held {
            Some(held) => held.at <= now && is_over(self.schedule_end(more_urgent)),
            None => is_over(self.schedule_end(all)),
        };
        if its_turn && self.free_at.is_none_or(|at| at <= now) {
            self.free_at = Some(now + INTERVAL);
            return Ok(());
        }
        if let Some(held) = held.filter(|held| held.at > now) {
            return Err(held);
        }
        let (last, end) = if its_turn {
            let end = &mut self.overdue_until[class as usize];
            (*end, end)
        } else {
            (self.schedule_end(all), &mut self.booked_until[class as usize])
        };
        let behind = last.map(|last| last + INTERVAL);
        let at = [self.free_at, behind].into_iter().flatten().fold(now, Instant::max);
        *end = Some(at);
        Err(Slot { class, at })
    }

    /// The holder does not need its slot any more: it has a verdict to write, or is gone.
    pub fn give_back(&mut self, held: Slot) {
        if let Some(end) = &mut self.booked_until[held.class as usize] {
            *end = end.checked_sub(INTERVAL).unwrap_or(*end);
        }
    }

    /// The last slot of this many classes, the most urgent ones.
    fn schedule_end(&self, classes: usize) -> Option<Instant> {
        self.booked_until[..classes].iter().chain(&self.overdue_until[..classes]).copied().flatten().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every caller tries until it is granted, each time at its slot; the first `ghosts` give their slot back instead.
    /// Returns when which class was granted.
    fn run(callers: &[(WaitClass, Duration)], ghosts: usize) -> Vec<(Duration, WaitClass)> {
        let (mut limiter, start) = (WaitWrites::default(), Instant::now());
        let mut waiting: Vec<(Duration, usize, Option<Slot>)> =
            callers.iter().enumerate().map(|(number, (_, at))| (*at, number, None)).collect();
        let mut granted = Vec::new();
        while let Some(first) = (0..waiting.len()).min_by_key(|i| (waiting[*i].0, waiting[*i].1)) {
            let (at, number, slot) = waiting.swap_remove(first);
            let class = callers[number].0;
            match limiter.acquire(class, slot, start + at) {
                Ok(()) => granted.push((at, class)),
                Err(slot) if number < ghosts => limiter.give_back(slot),
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
    fn a_single_write_is_granted_at_once() {
        assert_eq!(run(&[(WaitClass::Waiting, Duration::ZERO)], 0), [(Duration::ZERO, WaitClass::Waiting)]);
    }

    #[test]
    fn a_crowd_is_spread_and_everyone_is_granted() {
        let crowd = vec![(WaitClass::Waiting, Duration::ZERO); 1000];
        let granted = run(&crowd, 0);
        assert_eq!(granted.len(), 1000);
        assert!(most_in_a_second(&granted) <= 50, "{}", most_in_a_second(&granted));
        assert!(granted[999].0 < Duration::from_secs(22), "{:?}", granted[999].0);
    }

    #[test]
    fn more_urgent_classes_go_first() {
        let mut callers = vec![(WaitClass::Waiting, Duration::ZERO); 500];
        callers.extend(vec![(WaitClass::Stopped, Duration::from_millis(100)); 100]);
        callers.extend(vec![(WaitClass::Accepted, Duration::from_millis(200)); 100]);
        let granted = run(&callers, 0);
        let last = |class| granted.iter().filter(|(_, of)| *of == class).map(|(at, _)| *at).max().unwrap();
        assert_eq!(granted.len(), 700);
        assert!(most_in_a_second(&granted) <= 50);
        assert!(last(WaitClass::Accepted) < Duration::from_secs(5), "{:?}", last(WaitClass::Accepted));
        assert!(last(WaitClass::Stopped) < Duration::from_secs(9), "{:?}", last(WaitClass::Stopped));
    }

    #[test]
    fn slots_given_back_delay_nobody() {
        let mut callers = vec![(WaitClass::Accepted, Duration::ZERO); 2000];
        callers.push((WaitClass::Accepted, Duration::from_secs(1)));
        let granted = run(&callers, 2000);
        assert!(granted.last().unwrap().0 < Duration::from_millis(1100), "{granted:?}");
    }
}
