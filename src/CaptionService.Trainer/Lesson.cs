using CaptionService.Captioning.Decoders;

namespace CaptionService.Trainer;

/// <summary>What a stage teaches: captions, to the decoder that shall write such ones, from the photos they belong to.</summary>
/// <param name="Captions">Of each training photo, as ids.</param>
/// <param name="Decoder">Learns.</param>
/// <param name="Views">The photos, row by row as the captions.</param>
internal sealed record Lesson(int[][][] Captions, CaptionDecoder Decoder, TrainingViews Views);
