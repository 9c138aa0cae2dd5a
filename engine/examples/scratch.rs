use glassbox_engine::io::tensorboard::EventWriter;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let png = std::fs::read(&a[2]).unwrap();
    let mut e = EventWriter::create(&a[1], 1_700_000_000.0).unwrap();
    for s in 0..50u64 {
        let t = 1_700_000_001.0 + s as f64;
        e.scalar("loss/train", s, t, 1.0 / (s + 1) as f64).unwrap();
        if s % 10 == 0 {
            e.image("maps/conv1", s, t, &png).unwrap();
            let v: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin() * s as f32).collect();
            e.histogram("conv1.weight", s, t, &v).unwrap();
        }
    }
    let mut e = EventWriter::create(&a[1], 1_700_000_100.0).unwrap();
    e.resume(30, 1_700_000_100.0).unwrap();
    for s in 30..40u64 { e.scalar("loss/train", s, 1_700_000_100.0 + s as f64, 7.0).unwrap(); }
}
