namespace CaptionService.Api.Storage;

/// <summary>States as JSON names them.</summary>
internal static class StateNames
{
    /// <summary>The name in small letters.</summary>
    public static string Name<T>(this T state) where T : struct, Enum => state.ToString().ToLowerInvariant();
}
