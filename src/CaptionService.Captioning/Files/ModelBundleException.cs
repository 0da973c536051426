namespace CaptionService.Captioning.Files;

/// <summary>A model folder that cannot be used; the message says which file is wrong, and how.</summary>
public sealed class ModelBundleException(string message, Exception? inner = null) : Exception(message, inner);
