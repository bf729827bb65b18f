//! Reviews made up: months of products, dealt by a generator of our own, so that each run sees the same ones.

use ecommerce_ml_metrics::drivers::Sums;
use ecommerce_ml_report::input::{
    Counts, Day, Input, Product, Reading, Review, Settings, Source, Text, Tone,
};
use ecommerce_ml_report::spans::Spans;

pub const PRODUCTS: [&str; 5] = ["Kettle", "Lamp <b>\"XL\"</b>", "Toaster", "Mug & saucer", "Tent"];

pub fn settings() -> Settings {
    Settings {
        title: Some("Reviews of the shop".to_owned()),
        alpha: 0.05,
        products: 20,
        phrases: 8,
        examples: 2,
        explain: 100,
        topics: TOPICS.iter().map(|(name, _)| (*name).to_owned()).collect(),
    }
}

pub fn source() -> Source {
    Source {
        relation: "reviews".to_owned(),
        text_column: "body".to_owned(),
        product_column: Some("product".to_owned()),
        time_column: Some("written".to_owned()),
        rating_column: Some("stars".to_owned()),
        model: "reviews@1".to_owned(),
    }
}

/// A generator that is good enough to deal reviews (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, most: u64) -> usize {
        (self.next() % most) as usize
    }

    pub fn chance(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Words of topics.
const TOPICS: [(&str, &[&str]); 8] = [
    ("delivery", &["arrived"]),
    ("packaging", &["packaged", "box", "seal"]),
    ("price", &["price", "value", "cheap", "worth"]),
    ("quality", &["quality", "sturdy", "leaks", "broke"]),
    ("service", &["seller", "refund", "returned"]),
    ("size", &["size", "smaller"]),
    ("look", &["looks", "color", "beautiful", "ugly", "picture"]),
    ("taste", &["smell"]),
];

const GOOD: [&str; 5] = [
    "I love it, works perfectly and looks great in our kitchen.",
    "Great value for the money, arrived quickly and well packaged.",
    "Exactly the right size, beautiful color, my husband is happy with it.",
    "Does what it should. Sturdy and easy to clean.",
    "Bought a second one for my sister, she is delighted.",
];
const MIXED: [&str; 2] = [
    "It is all right for the price, nothing special.",
    "Average. The box was dented, the thing itself is fine.",
];
const BAD: [&str; 4] = [
    "Stopped working after a week, very disappointed with the quality.",
    "Arrived late and the seller never answered my mails about a refund.",
    "Much smaller than in the picture, and the color is ugly.",
    "Cheap plastic that smells, not worth the price at all.",
];
/// What the planted change says.
pub const LEAKS: [&str; 3] = [
    "The seal leaks all over the counter since the second use. Returned it.",
    "Leaks from the bottom, water everywhere, ]]>&\"' terrible <script>alert(1)</script>.",
    "It leaks. The seam broke at once.",
];

/// Reviews of 14 months, so many a month; in the last one, with `planted`, most of the kettle's say that it leaks.
pub fn input(seed: u64, months: i64, a_month: usize, planted: bool) -> Input {
    let mut dice = Dice(seed);
    let mut input = Input { source: source(), sample: 100_000, ..Input::default() };
    input.products = PRODUCTS
        .iter()
        .map(|name| Product { name: Some((*name).to_owned()), ..Product::default() })
        .collect();
    let first = 19_723; // 2024-01-01
    let spans = Spans::of(
        &(first..first + 30 * months).collect::<Vec<_>>(),
        Some(ecommerce_ml_forecast::calendar::Period::Month),
    )
    .unwrap();
    for place in 0..a_month * months as usize {
        let day = first + (place as i64 * 30 * months) / (a_month as i64 * months);
        let product = dice.below(PRODUCTS.len() as u64);
        let current = spans.index(day) == spans.current;
        let leaks = planted && current && product == 0 && dice.chance() < 0.6;
        let kind = dice.chance();
        let (said, tone, stars) = match kind {
            _ if leaks => (LEAKS[dice.below(3)], Tone::Negative, 1.0),
            _ if kind < 0.15 => (BAD[dice.below(4)], Tone::Negative, 1.0 + (kind * 13.0).floor()),
            _ if kind < 0.25 => (MIXED[dice.below(2)], Tone::Neutral, 3.0),
            _ => (GOOD[dice.below(5)], Tone::Positive, 4.0 + f64::from(kind > 0.45)),
        };
        add(&mut input, &spans, (product, day, stars), said, tone);
    }
    input.counts = Counts {
        rows: input.reviews.len() as u64,
        with_text: input.reviews.len() as u64,
        ..Counts::default()
    };
    input.spans = Some(spans);
    input
}

pub fn add(
    input: &mut Input,
    spans: &Spans,
    (product, day, stars): (usize, i64, f64),
    said: &str,
    tone: Tone,
) {
    let text = input.texts.iter().position(|text| text.content == said).unwrap_or_else(|| {
        let base = match tone {
            Tone::Negative => (-0.8, 1.5),
            Tone::Neutral => (0.0, 3.0),
            Tone::Positive => (0.8, 4.7),
        };
        let reading = Some(Reading { tone, score: base.0, stars: Some(base.1) });
        let has = |word: &&str| said.to_lowercase().contains(*word);
        let bit = |(at, (_, words)): (usize, &(&str, &[&str]))| u64::from(words.iter().any(has)) << at;
        let topics: u64 = TOPICS.iter().enumerate().map(bit).sum();
        let negative_topics = if tone == Tone::Negative { topics } else { 0 };
        let order = input.texts.len() as u64;
        input.texts.push(Text { content: said.to_owned(), reading, topics, negative_topics, order });
        input.texts.len() - 1
    });
    let mut own = Sums::default();
    ecommerce_ml_report::analysis::change::add(&mut own, stars);
    match input.days.last_mut().filter(|last| last.day == day) {
        Some(last) => {
            last.rows += 1;
            last.stars = ecommerce_ml_report::analysis::whole::plus(last.stars, own);
            last.histogram[stars as usize - 1] += 1;
        }
        None => {
            let mut histogram = [0; 5];
            histogram[stars as usize - 1] = 1;
            input.days.push(Day { day, rows: 1, stars: own, histogram });
        }
    }
    let cell = match spans.index(day) {
        period if period == spans.current => Some(&mut input.products[product].current),
        period if Some(period) == spans.before() => Some(&mut input.products[product].before),
        _ => None,
    };
    if let Some(cell) = cell {
        cell.rows += 1;
        cell.stars = ecommerce_ml_report::analysis::whole::plus(cell.stars, own);
    }
    input.reviews.push(Review { product: Some(product), day, stars: Some(stars), text });
}
