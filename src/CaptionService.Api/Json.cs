using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace CaptionService.Api;

/// <summary>How JSON is read from requests and written into answers.</summary>
internal static class Json
{
    /// <summary>Writes captions in any language as they are, not as \u escapes. Unsafe only inside HTML, where this JSON never is.</summary>
    public static JavaScriptEncoder Encoder => JavaScriptEncoder.UnsafeRelaxedJsonEscaping;

    /// <summary>Bodies of requests: what is given twice, or a number in quotes, is refused.</summary>
    public static JsonSerializerOptions Requests { get; } = new(JsonSerializerDefaults.Web) { AllowDuplicateProperties = false, NumberHandling = JsonNumberHandling.Strict };

    /// <summary>Answers that are written by hand.</summary>
    public static JsonSerializerOptions Answers { get; } = new(JsonSerializerDefaults.Web) { Encoder = Encoder };
}
