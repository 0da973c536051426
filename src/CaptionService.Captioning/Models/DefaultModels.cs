namespace CaptionService.Captioning.Models;

/// <summary>Where the models lie that come with the product.</summary>
public static class DefaultModels
{
    /// <summary>Folder of the models, one for each language, and of the encoder weights.</summary>
    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "DefaultModels");

    /// <summary>Folder of the English model.</summary>
    public static string EnglishFolder { get; } = Path.Combine(Folder, "everyday-en");

    /// <summary>The encoder weights.</summary>
    public static string EncoderPath { get; } = Path.Combine(Folder, "vgg16", "encoder.safetensors");
}
