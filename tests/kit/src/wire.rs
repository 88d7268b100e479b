//! Protobuf by hand: as much of `io.prometheus.client.MetricFamily` as the page needs.

/// What a family is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `COUNTER`
    Counter = 0,
    /// `GAUGE`
    Gauge = 1,
    /// `UNTYPED`
    Untyped = 3,
    /// `HISTOGRAM`
    Histogram = 4,
    /// `GAUGE_HISTOGRAM`
    GaugeHistogram = 5,
}

/// A native histogram with whole counts.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// -4 to 8.
    pub schema: i64,
    /// The sum of all observations.
    pub sum: f64,
    /// The width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in it.
    pub zero_count: u64,
    /// Gap and length of each span, and the counts.
    pub positive: (Vec<(i64, u64)>, Vec<u64>),
    /// The same below zero.
    pub negative: (Vec<(i64, u64)>, Vec<u64>),
}

/// What a sample is.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Histogram),
}

/// The bytes of a message.
pub trait Message {
    /// Where they go.
    fn bytes(&mut self) -> &mut Vec<u8>;

    /// A number without its field.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes().push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes().push(value as u8);
    }

    /// An unsigned number.
    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    /// A signed number, zigzag.
    fn signed(&mut self, field: u64, value: i64) {
        self.number(field, ((value << 1) ^ (value >> 63)) as u64);
    }

    /// A float.
    fn double(&mut self, field: u64, value: f64) {
        self.varint(field << 3 | 1);
        self.bytes().extend(value.to_bits().to_le_bytes());
    }

    /// Bytes, or a message.
    fn part(&mut self, field: u64, part: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(part.len() as u64);
        self.bytes().extend(part);
    }
}

impl Message for Vec<u8> {
    fn bytes(&mut self) -> &mut Vec<u8> {
        self
    }
}

/// A family, sample after sample.
#[derive(Clone, Debug)]
pub struct Family {
    message: Vec<u8>,
    kind: Kind,
}

impl Family {
    /// One without samples.
    #[must_use]
    pub fn new(name: &str, kind: Kind) -> Self {
        let mut message = Vec::new();
        message.part(1, name.as_bytes());
        message.number(3, kind as u64);
        Self { message, kind }
    }

    /// Adds a sample.
    pub fn sample(&mut self, labels: &[(&str, String)], ts_ms: i64, value: &Value) {
        let mut metric = Vec::new();
        for (name, text) in labels {
            let mut pair = Vec::new();
            pair.part(1, name.as_bytes());
            pair.part(2, text.as_bytes());
            metric.part(1, &pair);
        }
        let mut body = Vec::new();
        match value {
            Value::Float(value) => body.double(1, *value),
            Value::Histogram(histogram) => histogram.write(&mut body),
        }
        let field = match self.kind {
            Kind::Gauge => 2,
            Kind::Counter => 3,
            Kind::Untyped => 5,
            Kind::Histogram | Kind::GaugeHistogram => 7,
        };
        metric.part(field, &body);
        metric.number(6, ts_ms.unsigned_abs());
        self.message.part(4, &metric);
    }

    /// With its length before it.
    #[must_use]
    pub fn delimited(self) -> Vec<u8> {
        let mut out = Vec::new();
        out.varint(self.message.len() as u64);
        out.extend(self.message);
        out
    }
}

impl Histogram {
    fn write(&self, out: &mut Vec<u8>) {
        let count: u64 = self.zero_count + self.positive.1.iter().chain(&self.negative.1).sum::<u64>();
        out.number(1, count);
        out.double(2, self.sum);
        out.signed(5, self.schema);
        out.double(6, self.zero_threshold);
        out.number(7, self.zero_count);
        for (field, (spans, counts)) in [(9, &self.negative), (12, &self.positive)] {
            for (gap, length) in spans {
                let mut span = Vec::new();
                span.signed(1, *gap);
                span.number(2, *length);
                out.part(field, &span);
            }
            let mut before = 0;
            for count in counts {
                let count = i64::try_from(*count).unwrap();
                out.signed(field + 1, count - before);
                before = count;
            }
        }
    }
}
