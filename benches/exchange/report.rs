//! Figures, collected over the rounds and told as medians.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::scene::Case;

/// Everything that was measured.
#[derive(Default)]
pub struct Figures {
    /// By case and number in flight.
    pub cells: BTreeMap<(usize, usize), Cell>,
    /// p50 and p99 in µs at half of saturation, and that rate per second; by case.
    pub latency: BTreeMap<usize, (f64, f64, f64)>,
    pub startup_ms: f64,
    pub startup_loaded_ms: f64,
    pub rss_idle_mb: f64,
    pub rss_loaded_mb: f64,
    pub records: u64,
}

/// One case at one number in flight, round by round, in CPU µs per exchange.
#[derive(Default)]
pub struct Cell {
    pub server: Vec<f64>,
    pub parts: Vec<[f64; 4]>,
    pub rate: Vec<f64>,
}

const PARTS: [&str; 4] = ["crypto", "http", "policy", "commit"];

impl Cell {
    fn floors(&self) -> Vec<f64> {
        self.parts.iter().map(|parts| parts.iter().sum()).collect()
    }

    /// The median of the ratios of the rounds: what disturbs one round disturbs both of its sides.
    pub fn ratio(&self) -> f64 {
        median(self.server.iter().zip(self.floors()).map(|(server, floor)| server / floor).collect())
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Figures {
    pub fn print(&self) {
        println!(
            "\n{:<18}{:>9}{:>11}{:>10}{:>8}   floor = crypto + http + policy + commit",
            "", "in flight", "server µs", "floor µs", "ratio"
        );
        for ((case, in_flight), cell) in &self.cells {
            let part = |at: usize| median(cell.parts.iter().map(|parts| parts[at]).collect());
            println!(
                "{:<18}{in_flight:>9}{:>11.1}{:>10.1}{:>8.2}   {:.1} + {:.1} + {:.1} + {:.1}; {:.0}/s",
                Case::ALL[*case].name(),
                median(cell.server.clone()),
                median(cell.floors()),
                cell.ratio(),
                part(0),
                part(1),
                part(2),
                part(3),
                median(cell.rate.clone()),
            );
        }
        if let Some((over, verification)) = self.bound_over_unbound() {
            println!("\nDPoP over the same without: {over:.1} µs, of which {verification:.1} µs are one bare ES256 verification");
        }
        println!("\nat half of saturation");
        for (case, (p50, p99, rate)) in &self.latency {
            println!("{:<18} p50 {p50:.0} µs, p99 {p99:.0} µs at {rate:.0}/s", Case::ALL[*case].name());
        }
        println!("\nstart to first exchange, keys there  {:.1} ms", self.startup_ms);
        println!("the same with {:>7} records        {:.1} ms", self.records, self.startup_loaded_ms);
        println!("resident, idle                       {:.1} MB", self.rss_idle_mb);
        println!("resident, after {:>7} exchanges    {:.1} MB", self.records, self.rss_loaded_mb);
    }

    /// The cost of a DPoP proof at 32 in flight, round by round against an exchange without one; and one bare verification,
    /// which is what the floors differ by in their crypto.
    fn bound_over_unbound(&self) -> Option<(f64, f64)> {
        let at = |case| self.cells.get(&(Case::ALL.iter().position(|known| *known == case)?, 32));
        let (bound, unbound) = (at(Case::Bound)?, at(Case::FirstHop)?);
        let over = bound.server.iter().zip(&unbound.server).map(|(bound, unbound)| bound - unbound).collect();
        let crypto = bound.parts.iter().zip(&unbound.parts).map(|(bound, unbound)| bound[0] - unbound[0]).collect();
        Some((median(over), median(crypto)))
    }

    /// One line of JSON.
    pub fn json(&self) -> String {
        let cells = |value: &dyn Fn(&Cell) -> f64| -> Value {
            let named = |((case, in_flight), cell): (&(usize, usize), &Cell)| {
                (format!("{}_{in_flight}", Case::ALL[*case].name()), rounded(value(cell)))
            };
            self.cells.iter().map(named).collect::<Map<_, _>>().into()
        };
        let latency = |value: &dyn Fn(&(f64, f64, f64)) -> f64| -> Value {
            let named = |(case, figures): (&usize, _)| (Case::ALL[*case].name().to_owned(), rounded(value(figures)));
            self.latency.iter().map(named).collect::<Map<_, _>>().into()
        };
        let part = |at: usize| cells(&move |cell| median(cell.parts.iter().map(|parts| parts[at]).collect()));
        let parts: Map<_, _> = PARTS.iter().enumerate().map(|(at, name)| ((*name).to_owned(), part(at))).collect();
        json!({
            "ratio": cells(&Cell::ratio),
            "server_us": cells(&|cell| median(cell.server.clone())),
            "floor_us": cells(&|cell| median(cell.floors())),
            "floor_parts_us": parts,
            "per_second": cells(&|cell| median(cell.rate.clone())),
            "p50_us": latency(&|figures| figures.0),
            "p99_us": latency(&|figures| figures.1),
            "startup_ms": rounded(self.startup_ms),
            "startup_loaded_ms": rounded(self.startup_loaded_ms),
            "rss_idle_mb": rounded(self.rss_idle_mb),
            "rss_loaded_mb": rounded(self.rss_loaded_mb),
        })
        .to_string()
    }
}

fn rounded(value: f64) -> Value {
    ((value * 100.0).round() / 100.0).into()
}
