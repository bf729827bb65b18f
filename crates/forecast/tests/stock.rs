//! Inventory, prices and calendars: textbook numbers, edges, and what must hold whatever the numbers.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use ecommerce_ml_forecast::Invalid;
use ecommerce_ml_forecast::calendar::Period;
use ecommerce_ml_forecast::inventory::{Costs, LeadTimeDemand, newsvendor_normal, newsvendor_quantiles};
use ecommerce_ml_forecast::price::{lerner_index, optimal_price};

const DEMAND: LeadTimeDemand = LeadTimeDemand {
    demand_mean: 100.0,
    demand_sd: 20.0,
    lead_time: 4.0,
    lead_time_sd: 0.0,
    review_period: 0.0,
};

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * other.abs().max(1.0)
}

#[test]
fn stock_for_the_time_of_delivery() {
    // 1.644854 * 20 * sqrt(4)
    assert!(close(DEMAND.safety_stock(0.95).unwrap(), 65.794_145_078_1));
    assert!(close(DEMAND.reorder_point(0.95).unwrap(), 465.794_145_078_1));
    let uncertain = LeadTimeDemand { lead_time_sd: 1.5, ..DEMAND };
    // 1.644854 * sqrt(4 * 20^2 + 100^2 * 1.5^2)
    assert!(close(uncertain.safety_stock(0.95).unwrap(), 255.349_950_545_7));
    let reviewed = LeadTimeDemand { review_period: 5.0, ..DEMAND };
    assert!(close(reviewed.safety_stock(0.95).unwrap(), 1.5 * 65.794_145_078_1));
    assert!(close(reviewed.reorder_point(0.5).unwrap(), 900.0));
    assert!(DEMAND.safety_stock(0.3).unwrap() < 0.0);
    let tiny = LeadTimeDemand { demand_mean: 1.0, ..DEMAND };
    assert_eq!(tiny.reorder_point(0.01), Ok(0.0), "never below nothing");
    for level in [0.0, 1.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(DEMAND.safety_stock(level), Err(Invalid::Argument { name: "service_level", .. })));
    }
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(LeadTimeDemand { demand_sd: bad, ..DEMAND }.safety_stock(0.9).is_err());
        assert!(LeadTimeDemand { lead_time: bad, ..DEMAND }.reorder_point(0.9).is_err());
    }
    let large = LeadTimeDemand { demand_mean: 1e300, lead_time: 1e300, ..DEMAND };
    assert_eq!(large.reorder_point(0.9), Err(Invalid::OutOfRange));
}

#[test]
fn one_order_for_a_season() {
    let costs = Costs { underage: 3.0, overage: 1.0 };
    // 100 + 20 * 0.67449
    assert!(close(newsvendor_normal(100.0, 20.0, costs).unwrap(), 113.489_795_003_9));
    assert_eq!(newsvendor_normal(5.0, 0.0, costs), Ok(5.0));
    assert_eq!(newsvendor_normal(1.0, 20.0, Costs { underage: 1.0, overage: 99.0 }), Ok(0.0));
    assert_eq!(newsvendor_normal(1.0, 20.0, Costs { underage: 0.0, overage: 1.0 }), Ok(0.0));
    assert_eq!(newsvendor_normal(1.0, 20.0, Costs { underage: 1.0, overage: 0.0 }), Err(Invalid::OutOfRange));
    assert!(newsvendor_normal(1.0, 20.0, Costs { underage: 0.0, overage: 0.0 }).is_err());
    let large = Costs { underage: f64::MAX, overage: f64::MAX };
    assert!(close(newsvendor_normal(100.0, 20.0, large).unwrap(), 100.0));

    let (levels, quantiles) = ([0.1, 0.5, 0.9], [4.0, 10.0, 30.0]);
    let at =
        |underage, overage| newsvendor_quantiles(&levels, &quantiles, Costs { underage, overage }).unwrap();
    assert!(close(at(1.0, 1.0), 10.0) && close(at(7.0, 3.0), 20.0));
    assert_eq!((at(1.0, 99.0), at(99.0, 1.0), at(0.0, 1.0), at(1.0, 0.0)), (4.0, 30.0, 4.0, 30.0));
    assert_eq!(newsvendor_quantiles(&[0.5], &[-3.0], costs), Ok(0.0));
    for (levels, quantiles) in [
        (&[][..], &[][..]),
        (&[0.5], &[1.0, 2.0]),
        (&[0.5, 0.4], &[1.0, 2.0]),
        (&[0.4, 0.5], &[2.0, 1.0]),
        (&[0.0, 0.5], &[1.0, 2.0]),
        (&[0.4, 0.5], &[1.0, f64::NAN]),
        (&[f64::NAN], &[1.0]),
    ] {
        assert!(newsvendor_quantiles(levels, quantiles, costs).is_err(), "{levels:?} {quantiles:?}");
    }
}

#[test]
fn the_best_price_is_the_best() {
    assert_eq!(optimal_price(-2.0, 5.0, 0.0, f64::INFINITY), Ok(10.0));
    let best = optimal_price(-3.1, 7.0, 0.0, f64::INFINITY).unwrap();
    assert!(close((best - 7.0) / best, lerner_index(-3.1).unwrap()));
    let profit = |price: f64| (price - 7.0) * price.powf(-3.1);
    assert!(profit(best) > profit(best * 1.001) && profit(best) > profit(best * 0.999));
    assert_eq!(optimal_price(-2.0, 5.0, 12.0, 20.0), Ok(12.0));
    assert_eq!(optimal_price(-2.0, 5.0, 0.0, 8.0), Ok(8.0));
    assert_eq!(optimal_price(-0.5, 5.0, 0.0, 8.0), Ok(8.0));
    assert_eq!(optimal_price(-1.0, 5.0, 0.0, f64::INFINITY), Err(Invalid::NoOptimum { elasticity: -1.0 }));
    assert_eq!(optimal_price(-2.0, 0.0, 1.0, 8.0), Ok(1.0));
    for (elasticity, cost, lower, upper) in [
        (0.5, 1.0, 0.0, 2.0),
        (f64::NAN, 1.0, 0.0, 2.0),
        (f64::NEG_INFINITY, 1.0, 0.0, 2.0),
        (-2.0, -1.0, 0.0, 2.0),
        (-2.0, 1.0, 3.0, 2.0),
        (-2.0, 1.0, 0.0, f64::NAN),
        (-2.0, 1.0, f64::INFINITY, f64::INFINITY),
        (-2.0, 0.0, 0.0, 2.0),
    ] {
        assert!(matches!(optimal_price(elasticity, cost, lower, upper), Err(Invalid::Argument { .. })));
    }
    assert_eq!(optimal_price(-1.0 - 1e-12, 1e300, 0.0, f64::INFINITY), Err(Invalid::OutOfRange));
    assert_eq!(lerner_index(-1.0), None);
}

/// 2024-01-01, a Monday.
const MONDAY: i64 = 19_723;

#[test]
fn periods_are_those_of_the_calendar() {
    let month = |year: i64, month: i64| (year - 1970) * 12 + month - 1;
    for (day, year, number) in [
        (0, 1970, 1),
        (-1, 1969, 12),
        (MONDAY + 59, 2024, 2),
        (MONDAY + 60, 2024, 3),
        (11_016, 2000, 2),
        (-719_468, 0, 3),
    ] {
        assert_eq!(Period::Month.index(day), month(year, number), "{day}");
    }
    for period in [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year] {
        let mut before = period.index(-800_000);
        for day in -800_000..200_000 {
            let index = period.index(day);
            assert!(
                index == before || index == before + 1 && period.first_day(index) == day,
                "{period:?} {day}"
            );
            before = index;
        }
        assert_eq!(Period::named(period.name()), Some(period));
    }
    assert_eq!(Period::Week.first_day(Period::Week.index(MONDAY + 6)), MONDAY);
    assert_eq!(Period::named("fortnight"), None);
}

#[test]
fn periods_are_found_in_the_days() {
    let every = |days: i64, count: i64| (0..count).map(|at| MONDAY + at * days).collect::<Vec<_>>();
    let first_days = |period: Period| (200..240).map(|at| period.first_day(at)).collect::<Vec<_>>();
    assert_eq!(Period::detect(&every(1, 90)), Period::Day);
    assert_eq!(Period::detect(&every(1, 700)), Period::Week);
    assert_eq!(Period::detect(&every(1, 3000)), Period::Month);
    assert_eq!(Period::detect(&every(1, 15_000)), Period::Quarter);
    assert_eq!(Period::detect(&every(7, 60)), Period::Week);
    assert_eq!(Period::detect(&first_days(Period::Month)), Period::Month);
    assert_eq!(Period::detect(&first_days(Period::Quarter)), Period::Quarter);
    assert_eq!(Period::detect(&first_days(Period::Year)), Period::Year);
    assert_eq!(Period::detect(&[]), Period::Day);
    assert_eq!(Period::detect(&[0, 1, 50_000_000]), Period::Year);
}

#[test]
fn periods_that_are_cut_off_are_left_out() {
    let week = |day: i64| Period::Week.index(day);
    let days: Vec<i64> = (MONDAY + 4..MONDAY + 30).collect();
    assert_eq!(Period::Week.whole(&days), Some((week(MONDAY) + 1, week(MONDAY) + 3)));
    let days: Vec<i64> = (MONDAY + 1..MONDAY + 27).collect();
    assert_eq!(Period::Week.whole(&days), Some((week(MONDAY), week(MONDAY) + 3)), "closed on Sundays");
    let once: Vec<i64> = (0..5).map(|at| MONDAY + 6 + at * 7).collect();
    assert_eq!(Period::Week.whole(&once), Some((week(MONDAY), week(MONDAY) + 4)), "a day of each");
    assert_eq!(Period::Month.whole(&[]), None);
    assert_eq!(Period::Month.whole(&[MONDAY + 3, MONDAY + 4]), Some((648, 648)));
}
