#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use super::*;

fn places(connections: usize, per_address: usize) -> Arc<ConnectionPlaces> {
    ConnectionPlaces::new(ConnectionLimits { connections, per_address, configured: connections })
}

fn address(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

/// A connection of that address without a request under way; none where it has no place.
fn idle(places: &Arc<ConnectionPlaces>, number: u8) -> Option<ConnectionPermit> {
    let mut permit = places.permit(address(number), false)?;
    permit.rest();
    Some(permit)
}

fn open(places: &Arc<ConnectionPlaces>) -> usize {
    let table = places.table();
    let of_holders: usize = table.holders.values().map(|holder| holder.held).sum();
    assert_eq!(table.held, of_holders, "the sum is that of its parts");
    table.held
}

#[test]
fn an_address_has_so_many_places_and_gets_them_back() {
    let places = places(16, 2);
    let at = |text: &str| places.permit(text.parse().unwrap(), false);
    let (first, second) = (at("192.0.2.1").unwrap(), at("192.0.2.1").unwrap());
    assert!(at("192.0.2.1").is_none() && at("::ffff:192.0.2.1").is_none());
    assert!(at("192.0.2.2").is_some());
    drop(ConnectionPermit::uncounted());
    drop(first);
    assert!(at("192.0.2.1").is_some());
    drop(second);
    let table = places.table();
    assert!(table.holders.is_empty() && table.yielding.is_empty() && table.held == 0);
}

#[test]
fn a_network_of_ipv6_counts_as_one() {
    let places = places(16, 1);
    let _taken = places.permit("2001:db8::1".parse().unwrap(), false).unwrap();
    assert!(places.permit("2001:db8::ffff:1".parse().unwrap(), false).is_none());
    assert!(places.permit("2001:db8:0:1::1".parse().unwrap(), false).is_some());
}

#[test]
fn so_many_who_take_all_that_they_can_get_leave_a_share_of_the_places() {
    for hogs in 1..=20_u8 {
        let (at_once, one_by_one) = (places(420, 420), places(420, 420));
        let mut held: Vec<ConnectionPermit> = Vec::new();
        for _ in 0..420 {
            held.extend((1..=hogs).filter_map(|hog| at_once.permit(address(hog), false)));
        }
        held.extend((1..=hogs).flat_map(|hog| (0..420).filter_map(|_| idle(&one_by_one, hog)).collect::<Vec<_>>()));
        let share = 420 / (usize::from(hogs) + 1);
        for places in [at_once, one_by_one] {
            let left = 420 - open(&places);
            assert!(left.abs_diff(share) <= usize::from(hogs), "{hogs} hogs leave {left} instead of {share}");
            assert!(places.permit(address(99), false).is_some());
        }
    }
}

#[test]
fn the_longest_idle_of_who_holds_most_gives_way() {
    let places = places(16, 16);
    let greedy: Vec<_> = (0..6).map(|_| idle(&places, 1).unwrap()).collect();
    let modest: Vec<_> = (0..2).map(|_| idle(&places, 2).unwrap()).collect();
    let others: Vec<_> = (3..6).map(|number| idle(&places, number).unwrap()).collect();
    let given = |permits: &[ConnectionPermit]| permits.iter().map(ConnectionPermit::is_given).collect::<Vec<_>>();
    assert_eq!(given(&greedy), [true, false, false, false, false, false], "it has no more than are free any more");
    assert_eq!((open(&places), places.counts().yielded), (10, 1));
    let newcomers: Vec<_> = (10..16).map(|number| places.permit(address(number), false).unwrap()).collect();
    assert_eq!(given(&greedy), [true, true, true, true, false, false]);
    assert!(modest.iter().chain(&others).chain(&newcomers).all(|permit| !permit.is_given()));
    // What was given away is not given back a second time.
    let before = open(&places);
    drop(greedy);
    assert_eq!(open(&places), before - 2);
}

#[test]
fn nobody_with_a_request_under_way_gives_way() {
    let places = places(4, 4);
    let mut busy: Vec<_> = (1..=4).map(|number| places.permit(address(number), false).unwrap()).collect();
    assert!(places.permit(address(9), false).is_none(), "all have one");
    assert_eq!(places.counts().refused, 1);
    busy[2].rest();
    let mut newcomer = places.permit(address(9), false).unwrap();
    assert!(busy[2].is_given());
    newcomer.rest();
    newcomer.begin();
    assert!(places.permit(address(10), false).is_none() && !newcomer.is_given());
}

#[test]
fn of_those_who_hold_as_many_the_longest_idle_gives_way() {
    let places = places(4, 4);
    let mut held: Vec<_> = [3, 1, 2].map(|number| idle(&places, number).unwrap()).into();
    // The first has a request in between, so that another is the longest idle now.
    held[0].begin();
    held[0].rest();
    let _newcomer = places.permit(address(9), false).unwrap();
    assert_eq!(held.iter().map(ConnectionPermit::is_given).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn whoever_has_its_share_takes_places_of_its_own_or_of_who_has_more() {
    let places = places(8, 3);
    let own: Vec<_> = (0..3).map(|_| idle(&places, 1).unwrap()).collect();
    let _fourth = places.permit(address(1), false).unwrap();
    assert!(own[0].is_given() && open(&places) == 3, "the bound of an address");
    let _others: Vec<_> = [2, 2, 3, 3].map(|number| places.permit(address(number), false).unwrap()).into();
    let (given, free) = (own.iter().filter(|permit| permit.is_given()).count(), 8 - open(&places));
    assert_eq!((given, free), (2, 2), "by then it had more than were free");
    assert!(places.permit(address(2), false).is_none(), "two are free, and it has two; nobody idle has more");
}

#[test]
fn a_request_that_comes_while_its_place_is_given_away_is_served_and_counted() {
    let places = places(2, 2);
    let (mut first, second) = (idle(&places, 1).unwrap(), places.permit(address(2), false).unwrap());
    let newcomer = places.permit(address(3), false).unwrap();
    assert!(first.is_given() && open(&places) == 2);
    first.begin();
    assert_eq!(open(&places), 3, "one more than there are places, for the time of a request");
    first.rest();
    assert!(first.is_given_or_wakes(Waker::noop()) && first.idle.is_none());
    drop((first, newcomer));
    assert_eq!(open(&places), 1);
    drop(second);
}

#[test]
fn a_proxy_has_no_bound_but_the_places_and_gives_way_only_where_there_are_none() {
    let places = places(4, 1);
    let mut proxy: Vec<_> = (0..4).map(|_| places.permit(address(1), true).unwrap()).collect();
    assert!(places.permit(address(1), true).is_none(), "all are busy");
    proxy[3].rest();
    let again = places.permit(address(1), true).unwrap();
    assert!(proxy[3].is_given());
    proxy[2].rest();
    drop(again);
    let client = places.permit(address(2), false).unwrap();
    assert!(!proxy[2].is_given(), "a place was free");
    let _another = places.permit(address(3), false).unwrap();
    assert!(proxy[2].is_given());
    drop(client);
}

#[test]
fn whoever_gives_way_is_woken() {
    struct Woken(AtomicBool);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (places, woken) = (places(1, 1), Arc::new(Woken(AtomicBool::new(false))));
    let sleeper = idle(&places, 1).unwrap();
    assert!(!sleeper.is_given_or_wakes(&Arc::clone(&woken).into()));
    let _newcomer = places.permit(address(2), false).unwrap();
    assert!(woken.0.load(Ordering::SeqCst) && sleeper.is_given_or_wakes(Waker::noop()));
}
